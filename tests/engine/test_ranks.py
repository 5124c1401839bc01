"""What processes tell each other; how they fail together: test_distributed."""

import pytest
from mmengine.dist import get_rank

from mmseg_ddu.engine.ranks import (
    RankError,
    agree,
    on_main,
    patient_group,
    reason,
    wait_for_all,
)
from tests.processes import run_ranks


class Unportable(Exception):
    """One that cannot be built from its own arguments."""

    def __init__(self, first, second):
        super().__init__(f'{first} and {second}')


def test_wishes_of_all():
    assert agree('mine') == ['mine']
    assert run_ranks(3, lambda: agree(get_rank())) == [[0, 1, 2]] * 3


def test_error_of_one_is_told_to_all():
    def work():
        error = MemoryError('too large') if get_rank() == 1 else None
        agree('wish', error)

    first, second = run_ranks(2, work)
    assert isinstance(second, MemoryError)
    assert isinstance(first, RankError)
    assert str(first) == 'Process 1 failed with MemoryError: too large'
    assert reason(first) == reason(second) == 'MemoryError: too large'


@pytest.mark.parametrize('patient', [False, True])
def test_on_main(patient):
    def work(error):
        group = patient_group() if patient else None

        def once():
            if error:
                raise error
            return get_rank()

        result = on_main(once, group=group)
        wait_for_all(group)
        return result

    assert work(None) == 0  # one process
    with pytest.raises(FileExistsError):
        work(FileExistsError('mine'))
    assert run_ranks(2, work, None) == [0, 0]
    for error in run_ranks(2, work, FileExistsError('mine')):
        assert isinstance(error, FileExistsError) and str(error) == 'mine'


def test_errors_that_cannot_travel():
    def work():
        try:
            on_main(lambda: (_ for _ in ()).throw(Unportable(1, 2)))
        except Exception as error:
            return type(error).__name__, reason(error)

    told = 'Unportable: 1 and 2'
    assert run_ranks(2, work) == [('Unportable', told), ('RankError', told)]


def test_one_that_ended_is_noticed():
    def work():
        group = patient_group()
        if get_rank() == 0:
            wait_for_all(group)

    ended, _ = run_ranks(2, work)
    assert isinstance(ended, RankError) and 'is gone' in str(ended)
