"""What a training that was stopped counts."""

from benchmarks.training.judge_trained import iterations_done


def test_seconds_are_of_the_iterations_that_were_done_here(tmp_path):
    assert iterations_done(tmp_path / 'nothing') == 0
    assert iterations_done(tmp_path) == 0
    (tmp_path / 'iter_600.pth').touch()
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_600.pth'))
    assert iterations_done(tmp_path) == 600
