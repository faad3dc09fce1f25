from dfdlib import detector, doctor


def test_this_installation_is_described():
    findings = doctor.examine()
    assert findings["facts"]["fairseq-fixed"]
    assert "cores" in findings["facts"]["machine"]
    assert findings["facts"]["profile original-study"].startswith("missing")
    assert findings["problems"] == []


def test_a_checkpoint_is_described(tmp_path):
    detector.save(tmp_path / "mini.safetensors", detector.build("mini", seed=1), metadata={})
    facts = doctor.examine(checkpoint=tmp_path / "mini.safetensors")["facts"]
    assert any("mini" in value for name, value in facts.items() if name.startswith("checkpoint"))


def test_what_is_lacking_is_a_problem_with_a_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(doctor.CORE, "no_such_module", "no-such-package")
    findings = doctor.examine(checkpoint=tmp_path / "none.pth")
    assert findings["problems"][0] == "no-such-package is not installed; run ./environment.sh"
    assert "none.pth" in findings["problems"][1]
