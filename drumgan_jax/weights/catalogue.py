"""The published weights that embedders and feature networks use."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """One published file of weights.

    Attributes:
        name: by which `drumgan weights get` knows it.
        file_name: in the cache folder.
        url: where its publisher has it.
        size: in bytes, rounded to a megabyte where no exact size is published; for people to read.
        sha256: in hex: the whole digest; or only its leading digits; or nothing, where no digest is published, so
            that the file is known by its layout alone.
        what: one line.
        licence: of the weights, as their publisher states it.
    """

    name: str
    file_name: str
    url: str
    size: int
    sha256: str
    what: str
    licence: str


# No digests or sizes are published of the files of this release: the sizes are those of the weights alone.
_PJLOOPGAN = "https://github.com/Arthurddd/pjloop-gan/raw/master/feature_networks/checkpoints"

# The file names of VGGish and Inception carry the first eight digits, by the convention of PyTorch's hub. The whole
# digests are those by which other public projects pin the same files, several of them independently.
_FILES = (
    WeightsFile(
        name="vggish",
        file_name="vggish-10086976.pth",
        url="https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth",
        size=289_000_000,
        sha256="10086976245803799d9194e9a73d9b6c1549c71d1b80106f5cade5608a561f4b",
        what="VGGish, trained on a preliminary YouTube-8M; what Fréchet audio distance uses",
        licence="Apache-2.0",
    ),
    WeightsFile(
        name="inception",
        file_name="pt_inception-2015-12-05-6726825d.pth",
        url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        size=95_628_359,
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        what="Inception-v3 as FID, KID and the inception score use it, trained on ImageNet",
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
        what="short-chunk CNN of the pjloopgan release, a tagger trained on MagnaTagATune",
        licence="MIT",
    ),
    WeightsFile(
        name="short_chunk_drum_loops",
        file_name="pjloopgan_drum_scnn.ckpt",
        url=f"{_PJLOOPGAN}/drum_genre/drum_scnn.ckpt",
        size=10_000_000,
        sha256="",
        what="short-chunk CNN of the pjloopgan release, trained on the genres of drum loops",
        licence="MIT",
    ),
    WeightsFile(
        name="short_chunk_synth_loops",
        file_name="pjloopgan_synth_scnn.ckpt",
        url=f"{_PJLOOPGAN}/synth_genre/synth_scnn.ckpt",
        size=10_000_000,
        sha256="",
        what="short-chunk CNN of the pjloopgan release, trained on the genres of synth loops",
        licence="MIT",
    ),
)

CATALOGUE = {file.name: file for file in _FILES}
