"""Signals that wait for a question, and those that do not."""

import os
import signal
import threading

import pytest

from mmseg_ddu.engine.stopping import Interrupted, StopRequest

BOTH = (signal.SIGINT, signal.SIGTERM)


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize('number', BOTH)
@pytest.mark.parametrize('second', BOTH)
def test_the_first_is_noted_and_the_second_acts(number, second, capfd):
    before = [signal.getsignal(n) for n in BOTH]
    with pytest.raises(KeyboardInterrupt) as caught, StopRequest() as stop:
        assert not stop.made
        send(number)
        assert stop.made
        assert 'Stopping after this image.' in capfd.readouterr().err
        send(second)
    assert not isinstance(caught.value, Interrupted)
    assert [signal.getsignal(n) for n in BOTH] == before


def test_handlers_of_the_program_stay():
    came = []
    before = signal.signal(signal.SIGTERM, lambda *_: came.append('own'))
    try:
        with StopRequest() as stop:
            send(signal.SIGTERM)
            assert came == ['own'] and not stop.made
            send(signal.SIGINT)
            assert stop.made
        send(signal.SIGTERM)
        assert came == ['own'] * 2
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_threads_take_no_signals():
    said = []

    def elsewhere():
        before = [signal.getsignal(n) for n in BOTH]
        with StopRequest() as stop:
            same = [signal.getsignal(n) for n in BOTH] == before
            said.append((same, stop.made))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert said == [(True, False)]
