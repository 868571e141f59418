"""molgen: generate new molecules with graph diffusion models, and judge them."""

__version__ = "0.1.0"
