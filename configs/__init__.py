"""One config file per system, with values only; `stylegan2.py` has the settings of all systems built on StyleGAN2."""
