import inspect

import rowlock
from rowlock import errors


def test_all_names_are_sorted_and_importable():
    assert sorted(rowlock.__all__) == rowlock.__all__
    assert all(hasattr(rowlock, name) for name in rowlock.__all__)
    assert sorted(errors.__all__) == errors.__all__


def test_every_public_thing_is_documented():
    for name in rowlock.__all__:
        thing = getattr(rowlock, name)
        assert inspect.getdoc(thing), name
        for method, function in inspect.getmembers(thing, inspect.isfunction):
            if not method.startswith("_"):
                assert inspect.getdoc(function), f"{name}.{method}"


def test_every_error_is_drawn_in_the_tree_and_stands_below_the_root():
    drawn = errors.__doc__
    for name in errors.__all__:
        assert name in drawn
        assert issubclass(getattr(errors, name), rowlock.RowlockError)


def test_a_row_error_says_where_and_survives_pickling():
    import pickle

    error = errors.DecodeError("truncated after 12 of 40 bytes", stage="decode", row=3, path="a.jpg")
    error.add_context(key="a17", input="image", step=9)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert str(error) == (
        "cannot decode a row (input 'image', key 'a17', row 3, step 9, path 'a.jpg'): truncated after 12 of 40 bytes"
    )
    assert type(again) is errors.DecodeError
    assert (again.key, again.row, again.path, again.stage) == ("a17", 3, "a.jpg", "decode")
