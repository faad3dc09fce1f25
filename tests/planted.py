"""Public corpora in small: their lists, each in its own form, and their folders."""

from makers import tone

from dfdlib.data import audio

# Of each corpus: where its list lies, what it says, and what is to be read of it, a row each of path, label, attack
# and columns that only this list has.
FORMS = {
    "asvspoof2019-la": (
        "ASVspoof2019.LA.cm.train.trn.txt",
        "LA_0079 LA_T_9000001 - - bonafide\nLA_0079 LA_T_9000002 - A01 spoof\n",
        [("LA_T_9000001", 1, "bonafide", {"speaker": "LA_0079", "split": "training"}),
         ("LA_T_9000002", 0, "A01", {"split": "training"})],
    ),
    "asvspoof2019-pa": (
        "ASVspoof2019.PA.cm.dev.trl.txt",
        "PA_0079 PA_D_9000001 aaa - bonafide\nPA_0080 PA_D_9000002 abc AA spoof\n",
        [("PA_D_9000001", 1, "bonafide", {"environment": "aaa"}),
         ("PA_D_9000002", 0, "AA", {"environment": "abc", "split": "validation"})],
    ),
    "asvspoof2021-la": (
        "keys/LA/CM/trial_metadata.txt",
        "LA_0009 LA_E_9000101 alaw ita_tx A07 spoof notrim eval\n"
        "LA_0021 LA_E_9000102 opus loc_tx bonafide bonafide notrim eval\n"
        "LA_0023 LA_E_9000103 none - A13 spoof notrim progress\n",
        [("LA_E_9000101", 0, "A07", {"codec": "alaw", "transmission": "ita_tx", "trim": "notrim", "subset": "eval"}),
         ("LA_E_9000102", 1, "bonafide", {"codec": "opus"}),
         ("LA_E_9000103", 0, "A13", {"transmission": "", "subset": "progress"})],
    ),
    "asvspoof2021-df": (
        "keys/DF/CM/trial_metadata.txt",
        "LA_0023 DF_E_9000011 nocodec asvspoof A14 spoof notrim progress traditional_vocoder - - - -\n"
        "TEF2 DF_E_9000013 low_m4a vcc2020 Task1-team20 spoof notrim eval neural_vocoder Task1 team20 FF E\n"
        "LA_0043 DF_E_9000027 high_ogg asvspoof - bonafide notrim eval bonafide - - - -\n",
        [("DF_E_9000011", 0, "A14", {"vocoder": "traditional_vocoder", "task": "", "language": ""}),
         ("DF_E_9000013", 0, "Task1-team20", {"source": "vcc2020", "team": "team20", "gender": "FF", "language": "E"}),
         ("DF_E_9000027", 1, "bonafide", {"codec": "high_ogg", "vocoder": "bonafide", "subset": "eval"})],
    ),
    "asvspoof2021-df, eight columns": (
        "keys/CM/stage1_trial_metadata.txt",
        "LA_0023 DF_E_9000011 nocodec asvspoof A14 spoof notrim progress\n"
        "LA_0043 DF_E_9000027 high_ogg asvspoof - bonafide notrim eval\n",
        [("DF_E_9000011", 0, "A14", {"codec": "nocodec", "subset": "progress"}),
         ("DF_E_9000027", 1, "bonafide", {"source": "asvspoof"})],
    ),
    "asvspoof2021-pa": (
        "keys/PA/CM/trial_metadata.txt",
        "PA_0010 PA_E_9000001 R3 M3 d4 r1 m1 s4 c4 spoof notrim eval\n"
        "PA_0011 PA_E_9000002 R1 M2 D3 - - - - bonafide notrim eval\n",
        [("PA_E_9000001", 0, "unknown", {"room": "R3", "replay_device": "s4", "subset": "eval"}),
         ("PA_E_9000002", 1, "bonafide", {"attacker_room": ""})],
    ),
    "asvspoof5": (
        "ASVspoof5.eval.track_1.tsv",
        "E_4608 E_9000000024 M C11 4 E_9004890277 AC1 A24 spoof -\nE_2040 E_9000000034 M - 0 - AC1 A31 spoof -\n"
        "E_1742 E_9000000146 F C04 4 E_9008573732 - bonafide bonafide -\n",
        [("E_9000000024", 0, "A24", {"codec": "C11", "quality": "4", "attack_condition": "AC1", "split": "testing"}),
         ("E_9000000034", 0, "A31", {"codec": "", "quality": "", "gender": "M"}),
         ("E_9000000146", 1, "bonafide", {"source": "E_9008573732"})],
    ),
    "asvspoof5, first phase": (
        "ASVspoof5.train.metadata.txt",
        "T_4850 T_9000000001 F AC3 A05 spoof\nT_4851 T_9000000002 M - bonafide bonafide\n",
        [("T_9000000001", 0, "A05", {"gender": "F", "split": "training"}), ("T_9000000002", 1, "bonafide", {})],
    ),
    "in-the-wild": (
        "release_in_the_wild/meta.csv",
        "file,speaker,label\n0.wav,Invented A,spoof\n3.wav,Invented B,bona-fide\n",
        [("0.wav", 0, "unknown", {"speaker": "Invented A"}), ("3.wav", 1, "bonafide", {})],
    ),
    "mlaad": (
        "fake/de/invented_vits/meta.csv",
        "path|original_file|language|is_original_language|duration|training_data|model_name|architecture|transcript\n"
        "./fake/de/invented_vits/a.wav|de_DE/wavs/a.wav|de|True|4.2|Invented|tts/vits|VITS|Ein Satz, mit Komma.\n",
        [("./fake/de/invented_vits/a.wav", 0, "tts/vits",
          {"sentence": "de_DE/wavs/a.wav", "language": "de", "transcript": "Ein Satz, mit Komma."})],
    ),
    "codecfake-xie": (
        "label/C1.txt",
        "SSB99990001.wav real 0\nF02_SSB99990001.wav fake 2\n",
        [("C1/SSB99990001.wav", 1, "bonafide", {"codec": "0", "list": "C1", "split": "testing"}),
         ("C1/F02_SSB99990001.wav", 0, "F02", {"codec": "2"})],
    ),
    "spoofceleb": (
        "metadata/development.csv",
        "file,speaker,attack\na00/id1/x.flac,id1,a00\na06/id2/y.flac,id2,a06\n",
        [("development/a00/id1/x.flac", 1, "bonafide", {"speaker": "id1", "split": "validation"}),
         ("development/a06/id2/y.flac", 0, "a06", {})],
    ),
    "add2022": (
        "label.txt",
        "ADD_T_90000000.wav genuine\nADD_T_90000001.wav fake\n",
        [("ADD_T_90000000.wav", 1, "bonafide", {}), ("ADD_T_90000001.wav", 0, "unknown", {})],
    ),
    "add2023": (
        "Track1.2/testR2/label.txt",
        "ADD2023_T1.2R2_E_90000003.wav genuine\nADD2023_T1.2R2_E_90000004.wav fake\n",
        [("ADD2023_T1.2R2_E_90000003.wav", 1, "bonafide", {}), ("ADD2023_T1.2R2_E_90000004.wav", 0, "unknown", {})],
    ),
    "deepfake-eval-2024": (
        "audio-metadata-publish.csv",
        "Filename,Date,Ground Truth,Public Comments,Finetuning Set\n"
        'one_0016.wav,2024-04-23,Fake,"a comment, with a comma",Train\ntwo_0065.mp3,2024-02-21,Real,,Test\n',
        [("one_0016.wav", 0, "unknown", {"split": "training", "comments": "a comment, with a comma"}),
         ("two_0065.mp3", 1, "bonafide", {"split": "testing", "date": "2024-02-21"})],
    ),
    "fakeavceleb": (
        "FakeAVCeleb-audio/meta_data.csv",
        "source,target1,target2,method,category,type,race,gender,path,\n"
        "id1,-,-,real,A,RealVideo-RealAudio,African,men,1.mp4,FakeAVCeleb/RealVideo-RealAudio/African/men/id1\n"
        "id2,id1,-,rtvc,B,RealVideo-FakeAudio,African,men,2.mp4,FakeAVCeleb/RealVideo-FakeAudio/African/men/id2\n",
        [("RealVideo-RealAudio/African/men/id1/1.mp4", 1, "bonafide", {"speaker": "id1", "gender": "men"}),
         ("RealVideo-FakeAudio/African/men/id2/2.mp4", 0, "rtvc", {"race": "African", "target2": ""})],
    ),
    "partialspoof": (
        "PartialSpoof.LA.cm.eval.trl.txt",
        "LA_0039 CON_E_9000001 - CON spoof\nLA_0030 LA_E_9000003 - - bonafide\n",
        [("CON_E_9000001", 0, "CON", {"split": "testing"}), ("LA_E_9000003", 1, "bonafide", {})],
    ),
}  # fmt: skip

# Of each corpus: the lists of `FORMS` that it has, its sound files, and what is to be found: the file's path to
# label, attack and some columns.
TREES = {
    "asvspoof2019-la": (
        ["LA/ASVspoof2019_LA_train/flac/LA_T_9000001.flac", "LA/ASVspoof2019_LA_train/flac/LA_T_9000002.flac"],
        {"LA_T_9000001.flac": (1, "bonafide"), "LA_T_9000002.flac": (0, "A01")},
    ),
    "asvspoof2019-pa": (
        ["PA/ASVspoof2019_PA_dev/flac/PA_D_9000001.flac", "PA/ASVspoof2019_PA_dev/flac/PA_D_9000002.flac"],
        {"PA_D_9000001.flac": (1, "bonafide"), "PA_D_9000002.flac": (0, "AA")},
    ),
    "asvspoof2021-la": (
        [f"ASVspoof2021_LA_eval/flac/LA_E_900010{n}.flac" for n in (1, 2, 3)],
        {"LA_E_9000101.flac": (0, "A07"), "LA_E_9000102.flac": (1, "bonafide")},
    ),
    "asvspoof2021-df": (
        [
            "ASVspoof2021_DF_eval_part00/ASVspoof2021_DF_eval/flac/DF_E_9000011.flac",
            "ASVspoof2021_DF_eval_part01/ASVspoof2021_DF_eval/flac/DF_E_9000013.flac",
            "ASVspoof2021_DF_eval_part03/ASVspoof2021_DF_eval/flac/DF_E_9000027.flac",
        ],
        {"DF_E_9000013.flac": (0, "Task1-team20"), "DF_E_9000027.flac": (1, "bonafide")},
    ),
    "asvspoof2021-df, eight columns": (
        ["part00/flac/DF_E_9000011.wav", "part00/flac/DF_E_9000027.wav"],
        {"DF_E_9000027.wav": (1, "bonafide")},
    ),
    "asvspoof2021-pa": (
        ["ASVspoof2021_PA_eval_part00/flac/PA_E_9000001.flac", "ASVspoof2021_PA_eval_part01/flac/PA_E_9000002.flac"],
        {"PA_E_9000001.flac": (0, "unknown"), "PA_E_9000002.flac": (1, "bonafide")},
    ),
    "asvspoof5": (
        [f"flac_E_eval/E_9000000{n}.flac" for n in ("024", "034", "146")],
        {"E_9000000024.flac": (0, "A24"), "E_9000000034.flac": (0, "A31"), "E_9000000146.flac": (1, "bonafide")},
    ),
    "in-the-wild": (
        ["release_in_the_wild/0.wav", "release_in_the_wild/3.wav"],
        {"0.wav": (0, "unknown"), "3.wav": (1, "bonafide")},
    ),
    "mlaad": (
        ["fake/de/invented_vits/a.wav", "M-AILABS/de_DE/by_book/female/reader/book/wavs/a.wav",
         "M-AILABS/de_DE/by_book/female/reader/book/wavs/other.wav"],
        {"invented_vits/a.wav": (0, "tts/vits"), "wavs/a.wav": (1, "bonafide")},
    ),
    "for-2seconds": (
        [f"for-{kind}/{split}/{label}/file1.wav" for kind in ("2seconds", "norm") for split in ("training", "testing")
         for label in ("real", "fake")],
        {"for-2seconds/testing/real/file1.wav": (1, "bonafide"),
         "for-2seconds/testing/fake/file1.wav": (0, "unknown")},
    ),
    "for-norm": (
        [f"for-norm/testing/{label}/file9044.wav_16k.wav_norm.wav_mono.wav_silence.wav" for label in ("real", "fake")],
        {f"{label}/file9044.wav_16k.wav_norm.wav_mono.wav_silence.wav": (value, attack)
         for label, value, attack in (("real", 1, "bonafide"), ("fake", 0, "unknown"))},
    ),
    "for-original": (
        ["for-original/testing/fake/file9009.wav", "for-original/testing/real/file9003.wav"],
        {"fake/file9009.wav": (0, "unknown"), "real/file9003.wav": (1, "bonafide")},
    ),
    "for-rerecorded": (
        ["for-rerec/testing/fake/a.wav", "for-rerec/testing/real/b.wav"],
        {"fake/a.wav": (0, "unknown"), "real/b.wav": (1, "bonafide")},
    ),
    "wavefake": (
        ["generated_audio/ljspeech_melgan/LJ901-0001_gen.wav", "generated_audio/ljspeech_hifiGAN/LJ901-0001_gen.wav",
         "generated_audio/jsut_multi_band_melgan/BASIC5000_9001_gen.wav",
         "generated_audio/common_voices_prompts_from_conformer_fastspeech2_pwg_ljspeech/gen_90000.wav",
         "real_audio/LJSpeech-1.1/wavs/LJ901-0001.wav", "real_audio/jsut_ver1.1/basic5000/wav/BASIC5000_9001.wav"],
        {"ljspeech_melgan/LJ901-0001_gen.wav": (0, "melgan"), "ljspeech_hifiGAN/LJ901-0001_gen.wav": (0, "hifiGAN"),
         "jsut_multi_band_melgan/BASIC5000_9001_gen.wav": (0, "multi_band_melgan"),
         "gen_90000.wav": (0, "prompts_from_conformer_fastspeech2_pwg_ljspeech"),
         "wavs/LJ901-0001.wav": (1, "bonafide"), "wav/BASIC5000_9001.wav": (1, "bonafide")},
    ),
    "dfadd": (
        ["DATASET_VCTK_BONAFIDE/test/p927_368.wav", "DATASET_GradTTS/test/p927_164_GradTTS.wav",
         "DATASET_PflowTTS/train/p945_251_pflow.wav"],
        {"p927_368.wav": (1, "bonafide"), "p927_164_GradTTS.wav": (0, "GradTTS")},
    ),
    "codecfake-xie": (
        ["C1/SSB99990001.wav", "C1/F02_SSB99990001.wav", "train/SSB99990001.wav"],
        {"C1/SSB99990001.wav": (1, "bonafide"), "C1/F02_SSB99990001.wav": (0, "F02")},
    ),
    "codecfake-wu": (
        ["processed/encodec_24khz+p972_103.wav", "VCTK/wav48_silence_trimmed/p972/p972_103_mic1.flac"],
        {"encodec_24khz+p972_103.wav": (0, "encodec_24khz"), "p972_103_mic1.flac": (1, "bonafide")},
    ),
    "spoofceleb": (
        ["flac/development/a00/id1/x.flac", "flac/development/a06/id2/y.flac"],
        {"a00/id1/x.flac": (1, "bonafide"), "a06/id2/y.flac": (0, "a06")},
    ),
    "add2022": (
        ["wav/ADD_T_90000000.wav", "wav/ADD_T_90000001.wav"],
        {"ADD_T_90000000.wav": (1, "bonafide"), "ADD_T_90000001.wav": (0, "unknown")},
    ),
    "add2023": (
        [f"Track1.2/testR2/wav/ADD2023_T1.2R2_E_9000000{n}.wav" for n in (3, 4)],
        {"ADD2023_T1.2R2_E_90000003.wav": (1, "bonafide"), "ADD2023_T1.2R2_E_90000004.wav": (0, "unknown")},
    ),
    "deepfake-eval-2024": (
        ["audio-data/one_0016.wav", "audio-data/two_0065.mp3"],
        {"one_0016.wav": (0, "unknown"), "two_0065.mp3": (1, "bonafide")},
    ),
    "fakeavceleb": (
        [f"FakeAVCeleb-audio/RealVideo-{kind}Audio/African/men/id{n}/{n}.mp3"
         for n, kind in ((1, "Real"), (2, "Fake"))],
        {"id1/1.mp3": (1, "bonafide"), "id2/2.mp3": (0, "rtvc")},
    ),
    "partialspoof": (
        ["database/eval/con_wav/CON_E_9000001.wav", "database/eval/con_wav/LA_E_9000003.wav"],
        {"CON_E_9000001.wav": (0, "CON"), "LA_E_9000003.wav": (1, "bonafide")},
    ),
}  # fmt: skip


def plant(folder, name):
    """Write a small copy of a corpus."""
    if name in FORMS:
        place, text, _ = FORMS[name]
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text)
    for number, place in enumerate(TREES[name][0]):
        sound(folder / place, number)


def sound(path, number=0):
    audio.write_wav(path.with_suffix(".part.wav"), tone(0.02, frequency=100 + 10 * number), rate=16_000)
    path.with_suffix(".part.wav").replace(path)  # what a file is called does not matter here
