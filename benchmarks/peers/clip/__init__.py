"""CLIP in torch, as peers run it, and with mm-edge."""
