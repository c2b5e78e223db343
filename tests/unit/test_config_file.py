"""`--config FILE.toml`: flag over environment over file over default, and mistakes named."""

from pathlib import Path

import pytest

from thalgpu.cli.main import main
from thalgpu.engine.outputs.sidecars import write_toml
from thalgpu.engine.pipelines.out_folder import resolved_options


@pytest.fixture
def resolved(monkeypatch, tmp_path):
    """The request of a command line, or its exit code; the run itself is left out."""
    caught = []

    def stop_at(request):
        caught.append(request)
        raise SystemExit(0)

    monkeypatch.setattr("thalgpu.engine.pipelines.prepare.prepare", stop_at)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["gradients", *map(str, arguments)])
        return caught[-1] if caught else end.value.code

    return run


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "options.toml"

    def write(text):
        path.write_text(text)
        return path

    return write


def test_default_holds_where_nothing_is_said(resolved):
    assert resolved("--subjects", "list.txt").options.n_components == 10


def test_file_is_above_the_default(resolved, file):
    config = file('[gradients]\nsubjects = "list.txt"\nn_components = 5\n')
    request = resolved("--config", config)
    assert request.options.n_components == 5
    assert request.options.n_align == 5
    assert request.subjects == Path("list.txt").absolute()


def test_environment_is_above_the_file(resolved, file, monkeypatch):
    monkeypatch.setenv("THALGPU_GRADIENTS_N_COMPONENTS", "6")
    config = file("[gradients]\nn_components = 5\n")
    assert resolved("--subjects", "l", "--config", config).options.n_components == 6


def test_flag_is_above_the_environment(resolved, file, monkeypatch):
    monkeypatch.setenv("THALGPU_GRADIENTS_N_COMPONENTS", "6")
    config = file("[gradients]\nn_components = 5\n")
    assert resolved("--subjects", "l", "--config", config, "--n-components", 7).options.n_components == 7


def test_file_can_come_from_the_environment(resolved, file, monkeypatch):
    monkeypatch.setenv("THALGPU_GRADIENTS_CONFIG", str(file("[gradients]\nn_components = 4\n")))
    assert resolved("--subjects", "l").options.n_components == 4


def test_place_of_the_flag_does_not_matter(resolved, file):
    config = file("[gradients]\nalpha = 0.25\n")
    assert resolved("--alpha", 1, "--subjects", "l", "--config", config).options.alpha == 1.0


def test_dashes_and_top_level_values_are_read(resolved, file):
    request = resolved("--subjects", "l", "--config", file('n-components = 3\nkernel = "cosine"\n'))
    assert (request.options.n_components, request.options.kernel) == (3, "cosine")


def test_tables_of_other_commands_are_left_alone(resolved, file):
    request = resolved("--subjects", "l", "--config", file("[simulate]\nnoise = 3\n[gradients]\nalpha = 0\n"))
    assert request.options.alpha == 0.0


def test_lists_switches_and_text_are_read(resolved, file):
    text = 'keep = ["projections"]\ndetrend = false\nconfounds = "24p"\nfisher_z = false\nhigh_pass = 0.01\n'
    request = resolved("--subjects", "l", "--config", file(text))
    assert request.options.keep == ("projections",)
    assert not request.options.fisher_z
    assert (request.cleaning.detrend, request.cleaning.confounds, request.cleaning.high_pass) == (False, "24p", 0.01)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("[gradients]\nn_componets = 3\n", 4, ("n_componets", "options.toml", "--help")),
        ("n_components = = 3\n", 4, ("not TOML", "options.toml")),
        ("gradients = 3\n", 4, ("is not a table", "options.toml")),
        ('[gradients]\nn_components = "many"\n', 2, ("--n-components",)),
        ("[gradients]\nn_components = 2.5\n", 2, ("--n-components",)),
        ('[gradients]\nkernel = "nonsense"\n', 2, ("--kernel", "nonsense")),
        ("[gradients]\nkernel = 3\n", 2, ("--kernel",)),
        ("[gradients]\nsubjects = 3\n", 2, ("--subjects",)),
        ('[gradients]\ndetrend = "perhaps"\n', 2, ("--detrend",)),
        ('[gradients]\nkeep = "projections"\n', 2, ("--keep",)),
        ("[gradients]\nalpha = [1, 2]\n", 2, ("--alpha",)),
        ("[gradients]\nout = 7\n", 2, ("--out",)),
    ],
)
def test_mistakes_are_named(resolved, file, capsys, text, code, words):
    listed = () if "subjects" in text else ("--subjects", "l")
    assert resolved(*listed, "--config", file(text)) == code
    printed = capsys.readouterr().err
    assert all(word in printed for word in words)
    assert "Traceback" not in printed


def test_missing_file_is_named(resolved, capsys):
    assert resolved("--subjects", "l", "--config", "gone.toml") == 4
    assert "gone.toml" in capsys.readouterr().err


def test_file_that_is_no_text_is_named(resolved, tmp_path, capsys):
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    assert resolved("--subjects", "l", "--config", path) == 4
    assert "binary.toml" in capsys.readouterr().err


def test_names_of_confounds_may_be_a_list(resolved, file):
    request = resolved("--subjects", "l", "--config", file('confounds = ["trans_x", "trans_y"]\n'))
    assert request.cleaning.confounds == ("trans_x", "trans_y")


def test_file_that_a_run_writes_repeats_its_options(resolved, file):
    request = resolved("--subjects", "l", "--confounds", "trans_x,trans_y", "--keep", "projections", "--tr", 1.5)
    path = file("")
    write_toml(path, {"gradients": resolved_options(request)})
    again = resolved("--config", path)
    assert (again.options, again.cleaning) == (request.options, request.cleaning)
