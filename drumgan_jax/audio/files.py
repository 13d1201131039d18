"""Reading, resampling and writing audio files."""

import dataclasses
import os
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr

from drumgan_jax.errors import BadInput

# What libsndfile reads; a walk of folders takes files with these endings, reading goes by content.
AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".ogg", ".oga", ".aif", ".aiff", ".aifc"})
