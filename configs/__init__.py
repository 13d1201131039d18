"""One file a system, values only; `stylegan2.py` holds what the systems built on StyleGAN2 share."""
