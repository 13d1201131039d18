"""Containers as programs and accidents leave them: whole ones are read, others refused in a sentence that says why."""

import os
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from hostile_cases import in_time
from riff_bytes import chunk, encoded, hit, wav

from drumgan_jax.audio import flac
from drumgan_jax.audio.decoder_messages import kept_quiet
from drumgan_jax.audio.files import read_audio
from drumgan_jax.core.errors import BadInput

SAMPLES = hit(30000)
# Kinds of files as libsndfile writes them: ending, kind, coding, rate, largest error (of a lossy one, none).
KINDS = [
    ("wav", "WAV", "PCM_16", 44100, 2**-14),
    ("wav", "WAVEX", "PCM_24", 44100, 2**-22),
    ("rf64", "RF64", "PCM_16", 44100, 2**-14),
    ("w64", "W64", "PCM_16", 44100, 2**-14),
    ("aiff", "AIFF", "PCM_16", 44100, 2**-14),
    ("caf", "CAF", "PCM_16", 44100, 2**-14),
    ("caf", "CAF", "ALAC_16", 44100, 2**-14),
    ("au", "AU", "PCM_16", 44100, 2**-14),
    ("flac", "FLAC", "PCM_16", 44100, 2**-14),
    ("ogg", "OGG", "VORBIS", 44100, None),
    ("opus", "OGG", "OPUS", 48000, None),
    ("mp3", "MP3", None, 44100, None),
]
NAMES = [f"{ending}-{coding}" for ending, _, coding, _, _ in KINDS]


def told(path: Path, content: bytes) -> str:
    """The sentence with which a file of some content is refused."""
    path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        read_audio(path)
    message = str(caught.value)
    assert message.startswith(f"{path} ")
    assert "\n" not in message
    return message


def read(path: Path, content: bytes) -> np.ndarray:
    path.write_bytes(content)
    return read_audio(path).samples


@pytest.mark.parametrize(("ending", "kind", "coding", "rate", "error"), KINDS, ids=NAMES)
def test_whole_files_are_read_and_cut_ones_refused(
    tmp_path: Path, ending: str, kind: str, coding: str | None, rate: int, error: float | None
) -> None:
    content, path = encoded(SAMPLES, kind, coding, rate), tmp_path / f"sound.{ending}"
    samples = read(path, content)
    assert samples.shape == SAMPLES.shape
    if error:
        np.testing.assert_allclose(samples, SAMPLES, rtol=0, atol=error)
    assert np.corrcoef(samples[:, 0], SAMPLES[:, 0])[0, 1] > 0.7
    for share in (0.03, 0.3, 0.6, 0.95, 0.99):
        message = told(path, content[: int(share * len(content))])
        assert "is truncated" in message or "cannot be decoded" in message, share
        assert "is truncated" in message or share < 0.1 or kind == "FLAC"


@pytest.mark.parametrize("behind", [b"", b"TAG" + bytes(125), bytes(1000)], ids=["nothing", "a tag", "zeros"])
@pytest.mark.parametrize("kind", ["WAV", "RF64", "W64", "AIFF", "CAF", "AU", "OGG", "MP3"])
def test_what_is_behind_the_sound_is_no_damage(tmp_path: Path, kind: str, behind: bytes) -> None:
    path, content = tmp_path / "sound", encoded(SAMPLES, kind)
    np.testing.assert_array_equal(read(path, content + behind), read(path, content))


class TestOgg:
    def pages(self, content: bytes) -> list[bytes]:
        return [b"OggS" + page for page in content.split(b"OggS")[1:]]

    @pytest.mark.parametrize("coding", ["VORBIS", "OPUS"])
    @pytest.mark.parametrize("share", [0.4, 0.6, 0.8, 0.98])
    def test_a_page_whose_sum_is_wrong_is_damage(self, tmp_path: Path, coding: str, share: float) -> None:
        content = bytearray(encoded(np.tile(SAMPLES, (4, 1)), "OGG", coding, 48000))
        at = int(share * len(content))
        content[at] ^= 1
        assert "is damaged: a page of its Ogg stream has a wrong checksum;" in told(tmp_path / "a.ogg", content)

    def test_a_lost_page_and_foreign_bytes_are_damage(self, tmp_path: Path) -> None:
        pages = self.pages(encoded(np.tile(SAMPLES, (4, 1)), "OGG", "VORBIS"))
        assert len(pages) > 5
        path = tmp_path / "a.ogg"
        assert "is damaged: pages of its Ogg stream are missing;" in told(path, b"".join(pages[:3] + pages[4:]))
        assert "is damaged: between pages of its Ogg stream are bytes that are none;" in told(
            path, b"".join([*pages[:3], b"foreign", *pages[3:]])
        )
        # Its last page is gone.
        assert "is truncated" in told(path, b"".join(pages[:-1]))


class TestFlac:
    """What the header says, the frames say as well; the decoder believes the header."""

    content = encoded(np.tile(SAMPLES, (4, 1)), "FLAC", "PCM_16")
    samples = 4 * len(SAMPLES)

    def counting(self, samples: int) -> bytes:
        fields = struct.unpack(">Q", self.content[18:26])[0] >> 36 << 36 | samples
        return self.content[:18] + struct.pack(">Q", fields) + self.content[26:]

    def test_a_count_that_is_not_the_frames_is_damage(self, tmp_path: Path) -> None:
        path = tmp_path / "a.flac"
        wanted = f"is damaged: its header says 1,000 samples, and its frames {self.samples:,};"
        assert wanted in told(path, self.counting(1000))
        tag = b"ID3\x03\0\0\0\0\0\x14" + bytes(20)
        assert wanted in told(path, tag + self.counting(1000))
        assert "is truncated" in told(path, self.counting(self.samples + 1))
        # The last frame but one ends at a multiple of its length.
        whole = self.samples // 4096 * 4096
        sync = self.content.rfind(b"\xff\xf8")
        assert "is truncated" in told(path, self.content[:sync])
        assert len(read(path, self.counting(whole)[:sync])) == whole

    def test_an_unknown_count_is_that_of_the_frames(self, tmp_path: Path) -> None:
        whole = read(tmp_path / "a.flac", self.content)
        streamed = self.counting(0)
        id3v1, id3v2 = b"TAG" + bytes(125), b"ID3\x03\0\0\0\0\0\x14" + bytes(20)
        # A picture, longer than what is searched for the last frame.
        item = bytes(300_000)
        ape_size = len(item) + 32
        ape = item + struct.pack("<8sIIII8x", b"APETAGEX", 2000, ape_size, 1, 0)
        headed = struct.pack("<8sIIII8x", b"APETAGEX", 2000, ape_size, 1, 0xA0000000) + item
        headed += struct.pack("<8sIIII8x", b"APETAGEX", 2000, ape_size, 1, 0x80000000)
        for content in (
            streamed,
            streamed + id3v1,
            id3v2 + streamed,
            streamed + ape,
            streamed + headed + id3v1,
        ):
            np.testing.assert_array_equal(read(tmp_path / "a.flac", content), whole)

    def test_a_truncated_silence_ends_soon(self, tmp_path: Path) -> None:
        """Its frames are so short that thousands are in the tail, where one's checksum after the other is not right."""
        content = encoded(np.zeros((44100 * 600, 1), np.float32), "FLAC", "PCM_16")
        (tmp_path / "a.flac").write_bytes(content[:-5000])
        with in_time(), pytest.raises(BadInput, match=r"a\.flac is truncated or damaged; copy or export it again\."):
            read_audio(tmp_path / "a.flac")
        blocks = b"fLaC" + content[4:42] + b"\1\0\0\0" * 500_000
        (tmp_path / "a.flac").write_bytes(blocks)
        with in_time(), pytest.raises(BadInput):
            read_audio(tmp_path / "a.flac")

    def test_a_recorded_stream_begins_at_a_later_frame(self, tmp_path: Path) -> None:
        """As a radio's, whose first frame is the one that was just sent: here a file without its first two frames."""
        content, starts = self.counting(0), []
        at = content.find(b"\xff\xf8", 42)
        while at >= 0:
            if flac._frame(content[at : at + 16]):
                starts.append(at)
            at = content.find(b"\xff\xf8", at + 1)
        found = read(tmp_path / "a.flac", content[: starts[0]] + content[starts[2] :])
        np.testing.assert_array_equal(found, read(tmp_path / "b.flac", self.content)[2 * 4096 :])

    def test_a_rate_that_is_not_the_frames_is_damage(self, tmp_path: Path) -> None:
        content = bytearray(self.content)
        content[18] ^= 1
        assert "is damaged: its header says 48196 Hz, and its frames 44100 Hz;" in told(tmp_path / "a.flac", content)

    @pytest.mark.parametrize("rate", [8000, 12000, 44100, 96000, 11025, 65535, 48010, 352800])
    @pytest.mark.parametrize("frames", [1, 15, 16, 300, 4096, 4097, 70000])
    def test_whole_files_of_any_length_and_rate_are_read(self, tmp_path: Path, rate: int, frames: int) -> None:
        assert len(read(tmp_path / "a.flac", encoded(hit(frames, 2), "FLAC", "PCM_24", rate))) == frames

    def test_with_blocks_of_varying_length_a_frame_tells_its_first_sample(self) -> None:
        """Made by hand, since encoders here write blocks of one length: a header alone is parsed, not decoded."""
        head = bytes((0xFF, 0xF9, 0x69, 0x08, 0xC4, 0x80, 0x0F))  # The number is 256, and the block has 16 samples.
        frame = flac._frame(head + bytes((flac._sum8(head),)) + bytes(8))
        assert frame == (44100, 256, True, 16)


def test_a_format_that_tells_its_size_twice_is_damaged_where_they_differ(tmp_path: Path) -> None:
    content = bytearray(wav(SAMPLES))
    assert len(read(tmp_path / "a.wav", content)) == len(SAMPLES)
    for at, value, wanted in (
        (24, 22051, "1 x 16 bits at 22051 Hz are not 2 bytes a frame and 88200 a second"),
        (32, 4, "are not 4 bytes a frame"),
        (34, 8, "1 x 8 bits"),
    ):
        damaged = bytearray(content)
        damaged[at : at + 2] = struct.pack("<H", value)
        assert "contradicts itself in its header: " in told(tmp_path / "a.wav", damaged)
        assert wanted in told(tmp_path / "a.wav", damaged)
    # As some programs write it.
    for rate in (0, 2**32 - 1, 44100):
        content[28:32] = struct.pack("<I", rate)
        assert len(read(tmp_path / "a.wav", content)) == len(SAMPLES)
    wide = bytearray(wav(np.concatenate([SAMPLES, SAMPLES], axis=1)))
    wide[28:36] = struct.pack("<IHH", 4 * 44100, 4, 24)
    wide[22:24] = struct.pack("<H", 1)
    assert len(read(tmp_path / "a.wav", wide)) == len(SAMPLES)


def test_a_chunk_that_is_cut_short_by_its_length_is_damage(tmp_path: Path) -> None:
    content = bytearray(wav(SAMPLES))
    content[40:44] = struct.pack("<I", 20000)
    assert "is damaged: its chunks end before its header says;" in told(tmp_path / "a.wav", content)
    # Behind the end that the header tells, programs write what they like.
    assert len(read(tmp_path / "a.wav", wav(SAMPLES) + bytes(5000))) == len(SAMPLES)
    aiff = bytearray(encoded(SAMPLES, "AIFF", "PCM_16"))
    at = aiff.find(b"COMM") + 8
    for field, value, wanted in (
        (at + 2, struct.pack(">I", 20000), "1 x 16 bits of 20,000 frames are not its 60,000 bytes"),
        (at, struct.pack(">H", 2), "2 x 16 bits of 30,000 frames are not its 60,000 bytes"),
    ):
        damaged = bytearray(aiff)
        damaged[field : field + len(value)] = value
        assert f"contradicts itself: {wanted};" in told(tmp_path / "a.aiff", damaged)


@pytest.mark.parametrize(
    ("kind", "coding"), [("WAV", "PCM_16"), ("AIFF", "PCM_16"), ("AU", "PCM_16"), ("OGG", "VORBIS")]
)
def test_a_tag_before_another_format_takes_nothing_of_its_end(tmp_path: Path, kind: str, coding: str) -> None:
    content = encoded(SAMPLES, kind, coding)
    for length in (16, 100_000):
        size = bytes(length >> shift & 0x7F for shift in (21, 14, 7, 0))
        tag = b"ID3\x04\0\0" + size + bytes(length)
        np.testing.assert_array_equal(read(tmp_path / "a.wav", tag + content), read(tmp_path / "b.wav", content))
        assert "is truncated" in told(tmp_path / "a.wav", tag + content[: 2 * len(content) // 3])


def test_a_chain_of_streams_is_not_read_as_its_first(tmp_path: Path) -> None:
    one, other = (encoded(SAMPLES, "OGG", "VORBIS") for _ in range(2))
    if one[14:18] == other[14:18]:
        other = other.replace(one[14:18], b"abcd")
    wanted = "holds several streams, of which the decoder reads only the first; make a file of each."
    assert wanted in told(tmp_path / "a.ogg", one + other)
    # Without its last page, of one number, and at once.
    assert wanted in told(tmp_path / "a.ogg", one[: one.rfind(b"OggS")] + one)
    first = other[: other.find(b"OggS", 4)]
    assert wanted in told(tmp_path / "a.ogg", first + one)
    flac = encoded(SAMPLES, "FLAC", "PCM_16")
    assert wanted in told(tmp_path / "a.flac", flac + flac)


@pytest.mark.parametrize("kind", ["NIST", "VOC", "IRCAM", "PAF", "SVX"])
def test_formats_of_which_nothing_is_known_are_named(tmp_path: Path, kind: str) -> None:
    wanted = f"is of format {kind}, of which it cannot be seen whether a file is whole; export it as WAV or FLAC."
    assert wanted in told(tmp_path / "a.wav", encoded(SAMPLES, kind, "PCM_16"))


def test_packets_that_are_not_those_of_their_table_are_damage(tmp_path: Path) -> None:
    content = bytearray(encoded(np.tile(SAMPLES, (4, 1)), "CAF", "ALAC_16"))
    assert len(read(tmp_path / "a.caf", content)) == 4 * len(SAMPLES)
    at = content.find(b"pakt") + 12 + 8
    content[at : at + 8] = struct.pack(">q", 4 * len(SAMPLES) - 5000)
    assert "is damaged: it tells " in told(tmp_path / "a.caf", content)


class TestMp3:
    content = encoded(np.tile(SAMPLES, (3, 1)), "MP3")

    def test_a_gap_between_frames_is_damage_and_no_word_is_printed(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        middle = len(self.content) // 2
        lost = self.content[:middle] + self.content[middle + 3000 :]
        overwritten = self.content[:middle] + bytes(3000) + self.content[middle + 3000 :]
        for content in (lost, overwritten):
            assert "is damaged: between its MPEG frames are bytes" in told(tmp_path / "a.mp3", content)
        assert capfd.readouterr().err == ""

    def test_random_damage_is_refused_or_kept_quiet(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        rng, sentences = np.random.default_rng(1), set()
        for _ in range(40):
            content = bytearray(self.content)
            at = int(rng.integers(3000, len(content) - 2000))
            content[at : at + 40] = rng.bytes(40)
            (tmp_path / "a.mp3").write_bytes(content)
            try:
                assert len(read_audio(tmp_path / "a.mp3").samples)
            except BadInput as problem:
                sentences.add(str(problem).split(" is ")[1][:7])
        assert sentences == {"damaged"}
        assert capfd.readouterr().err == ""

    def without_count(self) -> bytes:
        """The frames alone, as programs write them that cannot go back to the first."""
        return self.content[self.content.find(b"\xff\xfb", 4) :]

    def test_without_a_count_all_frames_are_read(self, tmp_path: Path) -> None:
        """Of a varying bit rate; libsndfile guesses the length from the first frame's, and stops there."""
        path, whole = tmp_path / "a.mp3", read(tmp_path / "a.mp3", self.content)
        alone = read(path, self.without_count())
        assert len(whole) <= len(alone) <= len(whole) + 3 * 1152
        # The decoder's delay is not taken away.
        lag = int(np.argmax(np.correlate(alone[:4000, 0], whole[:2000, 0], "valid")))
        np.testing.assert_allclose(alone[lag : lag + len(whole) - 4000], whole[:-4000], atol=0.1)

    def test_joined_files_are_read_to_the_end(self, tmp_path: Path) -> None:
        assert len(read(tmp_path / "a.mp3", 3 * self.content)) >= 9 * len(SAMPLES)

    def test_a_beginning_that_is_lost_is_damage(self, tmp_path: Path) -> None:
        alone = self.without_count()
        assert len(read(tmp_path / "a.mp3", alone[100:])) > 2.9 * len(SAMPLES)
        assert len(read(tmp_path / "a.mp3", bytes(5000) + alone)) > 2.9 * len(SAMPLES)
        assert "is damaged" in told(tmp_path / "a.mp3", b"x" * 5000 + alone)

    def test_tags_are_no_damage(self, tmp_path: Path) -> None:
        tag = b"ID3\x03\0\0" + struct.pack(">I", 1000 // 128 << 8 | 1000 % 128) + b"\xff\xfb" * 500
        path = tmp_path / "a.mp3"
        np.testing.assert_array_equal(read(path, tag + self.content), read(path, self.content))


def test_only_decoders_are_kept_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    with kept_quiet() as errors:
        os.write(2, b"\rprepare:  50%|####")
        os.write(2, b"Note: Illegal Audio-MPEG-Header 0x8d08eb2f at offset 6990.\nNote: Trying to resync...\n")
        os.write(
            2, b"[src/libmpg123/layer3.c:INT123_do_layer3():1844] error: dequantization failed!\nanother's words\n"
        )
    assert errors == ["dequantization failed!"]
    assert capfd.readouterr().err == "\rprepare:  50%|####another's words\n"


@pytest.mark.parametrize("size", [0, 2**31 - 1, 2**32 - 1])
def test_wav_of_unknown_length_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    whole = wav(SAMPLES)
    piped = wav(SAMPLES, data_size=size, riff_size=size)
    np.testing.assert_array_equal(read(tmp_path / "a.wav", piped), read(tmp_path / "a.wav", whole))


def patched(content: bytes, at: int, *new: bytes) -> bytes:
    added = b"".join(new)
    return content[:at] + added + content[at + len(added) :]


def test_relatives_of_wav_of_unknown_length_are_read_to_their_end(tmp_path: Path) -> None:
    w64, rf64, caf, au = (encoded(SAMPLES, kind, "PCM_16") for kind in ("W64", "RF64", "CAF", "AU"))
    unknown = {
        "w64": patched(w64, w64.index(b"data") + 16, struct.pack("<Q", 2**63 - 1)),
        "rf64": patched(rf64, rf64.index(b"ds64") + 8, bytes(28)),
        "caf": patched(caf, caf.index(b"data") + 4, struct.pack(">q", -1)),
        "au": patched(au, 8, bytes(4)),
    }
    for ending, whole in zip(unknown, (w64, rf64, caf, au), strict=True):
        path = tmp_path / f"a.{ending}"
        np.testing.assert_array_equal(read(path, unknown[ending]), read(path, whole), err_msg=ending)


@pytest.mark.parametrize("name", [b"note", b"LIST", b"bext"])
def test_a_chunk_without_its_pad_byte_does_not_hide_the_samples(tmp_path: Path, name: bytes) -> None:
    odd = wav(SAMPLES, before=[chunk(name, b"odd length.", pad=False)], after=[chunk(b"LIST", b"INFO")])
    np.testing.assert_array_equal(read(tmp_path / "a.wav", odd), read(tmp_path / "a.wav", wav(SAMPLES)))


def test_no_samples_are_not_taken_for_a_pipe(tmp_path: Path) -> None:
    assert "holds no samples" in told(tmp_path / "a.wav", wav(SAMPLES[:0], after=[chunk(b"LIST", b"INFO")]))


@pytest.mark.parametrize("value", [1e30, -1e12])
def test_a_sample_beyond_all_scales_is_refused(tmp_path: Path, value: float) -> None:
    samples = SAMPLES.astype(np.float64)
    samples[100] = value
    assert f"holds a sample of {abs(value):.3g}" in told(tmp_path / "a.wav", encoded(samples, "WAV", "DOUBLE"))


def test_samples_of_a_whole_number_scale_are_read(tmp_path: Path) -> None:
    assert read(tmp_path / "a.wav", encoded(SAMPLES * 2**23, "WAV", "FLOAT")).max() > 2**20


def test_what_no_decoder_knows_is_refused(tmp_path: Path) -> None:
    assert "cannot be decoded" in told(tmp_path / "a.m4a", b"\0\0\0\x20ftypM4A " + bytes(200))


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    (tmp_path / "zero.wav").symlink_to("/dev/zero")
    # A reader that waits for a writer would never end.
    done = threading.Event()

    def refuse() -> None:
        for path, kind in ((pipe, "a named pipe"), (tmp_path / "zero.wav", "a device"), (tmp_path, "a directory")):
            with pytest.raises(BadInput, match=rf"is no regular file \({kind}\)"):
                read_audio(path)
        done.set()

    threading.Thread(target=refuse, daemon=True).start()
    assert done.wait(10)
    with pytest.raises(BadInput, match="zero byte"):
        read_audio("a\0b.wav")


def test_a_disk_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of errors of reading, libsndfile hears nothing but an early end."""
    path = tmp_path / "a.flac"
    path.write_bytes(encoded(SAMPLES, "FLAC"))

    class Failing:
        def __init__(self, file, contents):
            self.file, self.tell, self.seek = file, file.tell, file.seek

        def readinto(self, buffer):
            if self.file.tell() > 9000:
                raise OSError(5, "Input/output error")
            return self.file.readinto(buffer)

    monkeypatch.setattr("drumgan_jax.audio.files.mended", Failing)
    with pytest.raises(BadInput, match=r"cannot be read \(Input/output error\)"):
        read_audio(path)
