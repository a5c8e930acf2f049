"""Splits one graph into parts: an encoder for each input, the fusion, a decoder."""
