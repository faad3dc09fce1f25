import contextlib
import dataclasses
import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from makers import SEED, child, tone, tones_and_noises

from dfdlib import files
from dfdlib.data import corpus, decoding
from dfdlib.detector import aasist, network
from dfdlib.errors import DataError, ParameterError, RunError
from dfdlib.training import loop
from dfdlib.training.clips import Clips, batches
from dfdlib.training.recipe import Recipe

QUICK = Recipe(epochs=2, batch_size=4, learning_rate=1e-3, window=8_000, seed=5)


def but(**changes):
    """Return the quick recipe with changes."""
    return Recipe(**(QUICK.model_dump() | changes))


def trained(clips, checkpoint, recipe=QUICK, progress=None, **options):
    """Train a small detector, from the same random weights each time; return what was found, and the detector."""
    model, whole = network.build("mini", seed=5), corpus.read(clips)
    data = {"training": whole, "validation": whole} | options
    result = loop.fit(model, **data, recipe=recipe, checkpoint=checkpoint, device="cpu", progress=progress)
    return result, model


@pytest.fixture
def fit(clips, tmp_path):
    """A function that trains on the clips of the test."""
    return lambda recipe=QUICK, name="weights.safetensors", **options: trained(
        clips, tmp_path / name, recipe, **options
    )


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A detector that the quick recipe trained without a break, in another folder, on clips of the same sound."""
    folder = tmp_path_factory.mktemp("quick")
    tones_and_noises(folder, np.random.default_rng(SEED))
    return trained(folder, folder / "weights.safetensors")[1]


def test_training_learns_and_keeps_its_best_epoch(fit):
    result, model = fit(but(epochs=8, learning_rate=2e-3))
    history = result.history
    assert history["epoch"].tolist() == list(range(1, 9))
    # The training loss of so few clips is mostly dropout.
    assert history["validation_loss"].min() < history["validation_loss"].iloc[0]
    assert (
        history.loc[history["epoch"] == result.best_epoch, "validation_loss"].item() == history["validation_loss"].min()
    )
    assert network.fingerprint(network.load(result.checkpoint)) == network.fingerprint(model)
    assert not model.training
    assert pd.read_csv(result.checkpoint.with_suffix(".csv"))["train_loss"].tolist() == pytest.approx(
        history["train_loss"].tolist()
    )
    assert not result.checkpoint.with_suffix(".resume").exists()


def test_two_runs_give_the_same_weights_and_another_seed_does_not(fit, quick):
    second, other = fit(name="b.safetensors")[1], fit(but(seed=6))[1]
    assert network.fingerprint(quick) == network.fingerprint(second)
    assert network.fingerprint(quick) != network.fingerprint(other)


def test_a_detector_that_was_loaded_is_trained_with_dropout_and_batch_norm(clips, tmp_path):
    whole, found = corpus.read(clips), []
    for model in (network.build("mini", seed=5).train(), network.build("mini", seed=5).eval()):
        loop.fit(model, training=whole, validation=whole, recipe=QUICK, checkpoint=tmp_path / "w.safetensors")
        found.append(network.fingerprint(model))
    assert found[0] == found[1]
    assert not torch.equal(model.first_bn.running_mean, network.build("mini", seed=5).first_bn.running_mean)


STILL = dataclasses.replace(
    network.CONFIGURATIONS["mini"],
    backend=dataclasses.replace(aasist.SMALL, graph_dropout=0, pool_dropout=0, branch_dropout=0, readout_dropout=0),
)


def plain_training(clips, recipe, *, optimizer, rates, weights=(1.0, 1.0), accumulate=1, clip=None, autocast=False):
    """Train as `loop.fit` does, in torch alone, with what a recipe means spelled out; return the state dict."""
    model = network.build(STILL, seed=5).train()
    data = Clips(corpus.read(clips), recipe=recipe, training=True)
    optimizer, step = optimizer(model.parameters()), 0
    numbers = batches(data, recipe=recipe, epoch=0)
    for place, rows in enumerate(numbers, 1):
        waves, labels = torch.stack([data[row][0] for row in rows]), torch.tensor([data[row][1] for row in rows])
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logits = model(waves)
        loss = torch.nn.functional.cross_entropy(logits.float(), labels, weight=torch.tensor(weights))
        (loss / accumulate).backward()
        if place % accumulate and place < len(numbers):
            continue
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.param_groups[0]["lr"] = rates[step]
        optimizer.step()
        optimizer.zero_grad()
        step += 1
    assert step == len(rates)
    return model.state_dict()


def adam(parameters):
    return torch.optim.Adam(parameters, weight_decay=1e-4)


# Eight clips in batches of two: four steps. A rate is what the schedule says, by hand.
@pytest.mark.parametrize(
    ("change", "meaning"),
    [
        ({}, {}),
        (
            {"optimizer": "sgd"},
            {"optimizer": lambda parameters: torch.optim.SGD(parameters, lr=1, momentum=0.9, weight_decay=1e-4)},
        ),
        (
            {"optimizer": "adamw", "schedule": "cosine", "warmup": 0.5},
            {
                "optimizer": lambda parameters: torch.optim.AdamW(parameters, weight_decay=1e-4),
                "rates": [5e-4, 1e-3, 1e-3, 5e-4],
            },
        ),
        ({"schedule": "linear"}, {"rates": [1e-3, 7.5e-4, 5e-4, 2.5e-4]}),
        ({"class_weights": (1.0, 3.0)}, {"weights": (1.0, 3.0)}),
        ({"class_weights": "balanced"}, {}),  # as many bona fide clips as spoofs: every weight is 1
        ({"accumulate": 2}, {"accumulate": 2, "rates": [1e-3, 1e-3]}),
        ({"clip": 0.01}, {"clip": 0.01}),
        ({"precision": "bfloat16"}, {"autocast": True}),
        ({"sampler": "unshuffled"}, {}),  # the order itself is tested below
    ],
    ids=lambda value: str(value) if value and "optimizer" not in value else None,
)
def test_a_choice_does_what_plain_torch_does(clips, tmp_path, change, meaning):
    recipe, whole = but(epochs=1, batch_size=2, **change), corpus.read(clips)
    model = network.build(STILL, seed=5)
    loop.fit(model, training=whole, validation=whole, recipe=recipe, checkpoint=tmp_path / "w", device="cpu")
    expected = plain_training(clips, recipe, **{"optimizer": adam, "rates": [1e-3] * 4} | meaning)
    start = network.build(STILL, seed=5).state_dict()
    names = [name for name, _ in model.named_parameters()]
    found, wanted = (
        torch.cat([(weights[name] - start[name]).ravel() for name in names])
        for weights in (model.state_dict(), expected)
    )
    # Adam turns rounding errors into whole steps where a gradient is almost nothing.
    assert (found - wanted).norm() < 0.1 * wanted.norm()


def test_every_choice_is_another_training(fit):
    plain = fit(but(epochs=1), name="plain.safetensors")[1]
    changes = [{"optimizer": "sgd"}, {"class_weights": (1.0, 3.0)}, {"clip": 0.01}, {"sampler": "unshuffled"}]
    for change in changes:
        changed = fit(but(epochs=1, **change), name="changed.safetensors")[1]
        assert network.fingerprint(plain) != network.fingerprint(changed), change


def test_checkpointing_changes_memory_and_nothing_else(fit, quick):
    checkpointed = fit(but(checkpointing=True))[1]
    for (name, first), second in zip(quick.state_dict().items(), checkpointed.state_dict().values(), strict=True):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-4, msg=name)
    assert "forward" not in vars(checkpointed.ssl_model.model.encoder.layers[0])


# What is trained


def moved(model):
    """Return the names of parameters that are no longer those that training began with."""
    start = network.build("mini", seed=5).state_dict()
    return {name for name, parameter in model.named_parameters() if not torch.equal(parameter, start[name])}


def test_what_is_frozen_stays_as_it_was(fit, quick):
    frontend = {name for name in moved(quick) if name.startswith("ssl_model.")}
    assert frontend
    assert not moved(fit(but(freeze="frontend"))[1]) & frontend
    extractor = moved(fit(but(freeze="extractor"))[1])
    assert not any(".feature_extractor." in name for name in extractor)
    assert any(".encoder.layers.0." in name for name in extractor)
    lower = moved(fit(but(freeze=1))[1])
    assert not any(".encoder.layers.0." in name for name in lower)
    assert any(".encoder.layers.1." in name for name in lower)
    with pytest.raises(ParameterError, match="freeze = 9: the encoder has 3 layers"):
        fit(but(freeze=9))


def test_accumulated_batches_share_a_rate_that_ends_with_the_last_step(clips, tmp_path, monkeypatch):
    rates = []
    step = torch.optim.Adam.step
    monkeypatch.setattr(
        torch.optim.Adam, "step", lambda self, *a, **k: rates.append(self.param_groups[0]["lr"]) or step(self, *a, **k)
    )
    recipe, whole = but(epochs=1, batch_size=2, accumulate=2, schedule="linear"), corpus.read(clips)
    model = network.build("mini", seed=5)
    loop.fit(model, training=whole, validation=whole, recipe=recipe, checkpoint=tmp_path / "w.safetensors")
    assert rates == pytest.approx([1e-3, 0.5e-3])


# Input


def test_unreadable_clips_are_left_out(clips, fit):
    (clips / "Real/cut.flac").write_bytes(b"fLaC" + bytes(100))
    # the header of this one is sound, its samples are not
    wave = tone(0.5)
    wave[100] = np.nan
    soundfile.write(clips / "Fake/nan.wav", wave, 16_000, subtype="FLOAT")
    result, _ = fit()
    # once in training, once in validation; the other never came so far
    assert [path.split("/")[-1] for path in result.left_out["path"]] == ["nan.wav", "nan.wav"]


def test_one_class_is_refused(clips, fit):
    whole = corpus.read(clips)
    reals = corpus.Corpus("reals", whole.table[whole.table["label"] == 1], whole.left_out)
    with pytest.raises(DataError, match="no spoof clip"):
        fit(training=reals)


def test_testing_clips_are_never_opened(toy, tmp_path, monkeypatch):
    whole = corpus.read(toy.parent / "for-2seconds")
    opened = []
    decode = decoding.opened
    monkeypatch.setattr(decoding, "opened", lambda path, **how: opened.append(str(path)) or decode(path, **how))
    data = {name: whole.split(name) for name in ("training", "validation")}
    loop.fit(
        network.build("mini", seed=5), **data, recipe=QUICK, checkpoint=tmp_path / "weights.safetensors", device="cpu"
    )
    assert {path.split("/")[-3] for path in opened} == {"training", "validation"}


# What goes wrong


def test_a_loss_that_is_not_finite_names_the_step_and_the_clips_and_keeps_what_was_saved(
    fit, quick, tmp_path, monkeypatch
):
    forward = network.Detector.forward
    calls = []

    def diverge(model, waves):
        calls.append(model.training)
        return forward(model, waves) * (np.nan if sum(calls) == 4 and model.training else 1.0)

    monkeypatch.setattr(network.Detector, "forward", diverge)
    with pytest.raises(RunError, match=r"the loss is nan at step 3 of epoch 2, with the clips .*(real|fake)\d\.wav"):
        fit(but(save_every=0.0))
    assert network.load(tmp_path / "weights.safetensors")
    monkeypatch.undo()
    lines = []
    resumed = fit(but(save_every=0.0), progress=lines.append)[1]
    assert lines[0] == "going on after step 3, in epoch 2"
    assert network.fingerprint(resumed) == network.fingerprint(quick)


def test_the_scale_of_half_precision_is_gone_on_with(fit, monkeypatch):
    """Lightning takes bfloat16 for float16 on a processor; with its own part for GPUs, torch does as it is told."""
    import lightning
    from lightning.pytorch.plugins.precision import MixedPrecision

    plugins = []

    def trainer(*, precision, make=lightning.Trainer, **options):
        plugins.append(MixedPrecision(precision, "cpu"))
        return make(plugins=plugins[-1:], **options)

    monkeypatch.setattr(lightning, "Trainer", trainer)
    recipe = but(precision="float16", learning_rate=1e-4, clip=None)
    whole = fit(recipe, name="whole.safetensors")[1]

    def stop(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(recipe, progress=stop)
    resumed = fit(recipe)[1]
    assert plugins[0].scaler.state_dict() == plugins[2].scaler.state_dict()
    assert plugins[1].scaler.state_dict() != plugins[2].scaler.state_dict()
    assert network.fingerprint(resumed) == network.fingerprint(whole)


def test_a_full_disk_ends_in_one_line_and_leaves_the_last_state(fit, quick, tmp_path, monkeypatch):
    atomic, count = files.atomic, [0]

    @contextlib.contextmanager
    def full(path, mode="w"):
        if str(path).endswith(".resume"):
            count[0] += 1
            if count[0] == 3:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with atomic(path, mode) as file:
            yield file

    monkeypatch.setattr(files, "atomic", full)
    with pytest.raises(RunError, match=r"cannot be written \(No space left on device\); free some space"):
        fit(but(save_every=0.0))
    monkeypatch.undo()
    lines = []
    resumed = fit(but(save_every=0.0), progress=lines.append)[1]
    assert lines[0] == "going on after step 2, in epoch 2"
    assert network.fingerprint(resumed) == network.fingerprint(quick)


def test_an_interrupt_stays_an_interrupt(fit):
    def interrupt(line):
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(progress=interrupt)
    assert signal.getsignal(signal.SIGINT) is handler


def test_patience_ends_a_training_that_does_not_get_better(fit):
    result, _ = fit(but(epochs=9, learning_rate=1e-12, select="validation_eer", patience=2))
    assert len(result.history) < 9
    assert len(result.history) - result.best_epoch == 2


def test_a_state_of_another_training_is_not_gone_on_from(fit, tmp_path):
    def stop(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(progress=stop)
    assert (tmp_path / "weights.resume").exists()
    lines = []
    fit(but(learning_rate=2e-3), progress=lines.append)
    assert lines[0].startswith("epoch 1/2")
    (tmp_path / "weights.resume").write_bytes(b"damaged")
    fit(progress=lines.append)
    assert lines[2].startswith("epoch 1/2")


# Processes

SCRIPT = """
import sys
from dfdlib.detector import aasist, network as detector, frontend
from dfdlib.data import corpus
from dfdlib.training import loop as finetune
from dfdlib.training.recipe import Recipe
clips, out, recipe = sys.argv[1:]
calm = {name: 0.0 for name in ("graph_dropout", "pool_dropout", "branch_dropout", "readout_dropout")}
import dataclasses, torch
torch.set_num_threads(1)
still = dataclasses.replace(detector.CONFIGURATIONS["mini"], backend=dataclasses.replace(aasist.SMALL, **calm))
whole = corpus.read(clips)
finetune.fit(detector.build(still if "--still" in recipe else "mini", seed=5), training=whole, validation=whole,
             recipe=Recipe.model_validate_json(recipe.replace("--still", "")), checkpoint=out, device="cpu",
             progress=lambda line: print(line, flush=True))
"""


def command(clips, out, recipe, *, still=False, launcher=()):
    text = recipe.model_dump_json() + ("--still" if still else "")
    script = out.parent / "train.py"
    script.write_text(textwrap.dedent(SCRIPT))
    return [*(launcher or [sys.executable]), str(script), str(clips), str(out), text]


@pytest.mark.slow
@pytest.mark.alone
def test_a_training_killed_in_the_middle_of_epochs_ends_with_the_same_weights(clips, tmp_path):
    recipe = but(epochs=12, batch_size=2, save_every=0.0)
    subprocess.run(command(clips, tmp_path / "whole.safetensors", recipe), check=True, capture_output=True)
    out = tmp_path / "killed.safetensors"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    kills = 0
    rng = np.random.default_rng(1)
    for _ in range(6):
        process = subprocess.Popen(command(clips, out, recipe), env=environment, stdout=subprocess.DEVNULL)
        state = out.with_suffix(".resume")
        before = state.stat().st_mtime_ns if state.exists() else 0
        # Wait until it has gone on by at least a step, then kill it some steps later.
        while process.poll() is None and (not state.exists() or state.stat().st_mtime_ns == before):
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break
        kills += 1
    else:
        subprocess.run(command(clips, out, recipe), check=True, capture_output=True)
    assert kills >= 3
    assert out.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


def torchrun(*options):
    return [sys.executable, "-m", "torch.distributed.run", *options]


def two_processes(clips, out, recipe):
    """Return the command of a training in two processes on this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    launcher = torchrun("--nproc-per-node=2", "--master-addr=127.0.0.1", f"--master-port={port}")
    return command(clips, out, recipe, still=True, launcher=launcher)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("change", [{}, {"strategy": "fsdp"}, {"strategy": "fsdp", "checkpointing": True}], ids=str)
def test_two_processes_train_as_one(clips, tmp_path, change):
    # Adam would blow rounding errors up where a gradient is almost nothing.
    recipe = but(epochs=3, optimizer="sgd", learning_rate=0.01, clip=1.0)
    subprocess.run(command(clips, tmp_path / "one.safetensors", recipe, still=True), check=True, capture_output=True)
    shared = Recipe(**(recipe.model_dump() | change))
    done = subprocess.run(
        two_processes(clips, tmp_path / "two.safetensors", shared),
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("one", "two"))
    pd.testing.assert_frame_equal(one, two, rtol=1e-4, atol=1e-5)
    weights = [network.load(tmp_path / f"{name}.safetensors").state_dict() for name in ("one", "two")]
    torch.testing.assert_close(*weights, rtol=1e-3, atol=1e-4)
    assert done.stdout.count("epoch 3/3") == 1


@pytest.mark.slow
@pytest.mark.alone
def test_a_network_dealt_out_to_processes_goes_on_after_a_kill(clips, tmp_path):
    recipe = but(epochs=4, batch_size=2, strategy="fsdp", save_every=0.0)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    whole, out = tmp_path / "whole.safetensors", tmp_path / "killed.safetensors"
    subprocess.run(two_processes(clips, whole, recipe), check=True, capture_output=True, env=environment)
    with subprocess.Popen(
        two_processes(clips, out, recipe), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None and not out.with_suffix(".resume").exists():
            time.sleep(0.005)
        os.kill(child(process.pid, 1), signal.SIGKILL)
        assert process.wait(timeout=60) != 0  # the other one was ended
    done = subprocess.run(two_processes(clips, out, recipe), capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "going on after step" in done.stdout
    assert out.read_bytes() == whole.read_bytes()


@pytest.fixture
def two_machines():
    """Two network namespaces with a cable between them: the commands that run something in each."""
    names = [f"dfd{os.getpid()}{side}" for side in "ab"]
    cables = [f"c{os.getpid()}{side}" for side in "ab"]
    ip = shutil.which("ip")
    if ip is None or os.geteuid() != 0:
        pytest.skip("network namespaces need iproute2 and root")

    def run(*words):
        subprocess.run([ip, *words], check=True, capture_output=True)

    try:
        try:
            for name in names:
                run("netns", "add", name)
            run("link", "add", cables[0], "type", "veth", "peer", "name", cables[1])
            for number, (name, cable) in enumerate(zip(names, cables, strict=True), 1):
                run("link", "set", cable, "netns", name)
                run("-n", name, "address", "add", f"10.77.0.{number}/24", "dev", cable)
                run("-n", name, "link", "set", cable, "up")
                run("-n", name, "link", "set", "lo", "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"network namespaces cannot be made here: {error.stderr.decode().strip()}")
        yield [([ip, "netns", "exec", name], cable) for name, cable in zip(names, cables, strict=True)]
    finally:
        for name in names:
            subprocess.run([ip, "netns", "del", name], capture_output=True)


@pytest.mark.slow
@pytest.mark.alone
def test_two_machines_train_as_one(clips, tmp_path, two_machines):
    recipe = but(epochs=2, optimizer="sgd", learning_rate=0.01)
    subprocess.run(command(clips, tmp_path / "one.safetensors", recipe, still=True), check=True, capture_output=True)
    started = []
    for number, (inside, cable) in enumerate(two_machines):
        launcher = torchrun(
            "--nnodes=2",
            f"--node-rank={number}",
            "--nproc-per-node=1",
            "--master-addr=10.77.0.1",
            "--master-port=29511",
        )
        started.append(
            subprocess.Popen(
                [*inside, *command(clips, tmp_path / "two.safetensors", recipe, still=True, launcher=launcher)],
                env=os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": cable},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    outputs = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs[0][1][-2000:] + outputs[1][1][-2000:]
    one, two = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("one", "two"))
    pd.testing.assert_frame_equal(one, two, rtol=1e-4, atol=1e-5)
    assert "epoch 2/2" in outputs[0][0]
    assert "epoch" not in outputs[1][0]  # the second machine keeps quiet


def test_batch_norms_are_themselves_again_after_training(quick):
    assert {type(module) for module in quick.modules() if hasattr(module, "running_mean")} == {
        torch.nn.BatchNorm1d,
        torch.nn.BatchNorm2d,
    }
    assert isinstance(quick, aasist.Aasist)
