"""The demonstration puts a patient and a result side by side."""

from fake_case import analyzed_case
from spondyl.app import demo
from spondyl.app.analyze import AnalysisResult


def test_the_patient_is_made_and_then_analyzed_like_any_other(monkeypatch, tmp_path):
    told, asked = [], {}

    def simulate(seed, folder, *, lesions):
        asked["seed"], asked["lesions"] = seed, lesions
        return folder / "dicom"

    def analyze(study, out, *, options, progress):
        asked.update(study=study, out=out, threads=options.settings.threads)
        return AnalysisResult(analyzed_case(), out, {"report": out / "report.html"}, {})

    monkeypatch.setattr(demo, "simulate_study", simulate)
    monkeypatch.setattr(demo, "analyze_study", analyze)
    result = demo.demonstrate(tmp_path, seed=8, threads=2, progress=lambda *what: told.append(what[0]))
    assert asked.pop("study") == tmp_path / "patient" / "dicom"
    assert asked == {"seed": 8, "lesions": "malignant", "out": tmp_path / "result", "threads": 2}
    assert told == ["simulate"]
    assert result.report == tmp_path / "result" / "report.html"
