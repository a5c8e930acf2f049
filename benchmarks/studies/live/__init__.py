"""Studies of the live loop: overhead, peers, the page, startup."""
