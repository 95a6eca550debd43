from persam_hq.errors import did_you_mean, error_line, one_line


def test_the_closest_name_is_offered():
    assert did_you_mean("cascad", ["cascade", "other"]) == " (did you mean 'cascade'?)"
    assert did_you_mean("x", ["cascade"]) == ""


def test_messages_of_several_lines_become_one():
    assert one_line("first\n   second ") == "first second"
    assert error_line(ValueError("no\nnumber")) == "ValueError: no number"


def test_an_error_without_a_message():
    assert error_line(KeyboardInterrupt()) == error_line(KeyboardInterrupt(" \n")) == "KeyboardInterrupt"
