"""CLIP with torch, as peers run it, and with mm-edge."""
