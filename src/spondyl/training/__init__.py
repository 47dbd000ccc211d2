"""Training on synthetic patients, and on your own. Needs the extra `train`; nothing of the road imports it."""
