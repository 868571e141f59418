"""The app's pages in Streamlit's own test harness: open, fill in, press, read."""

import time
from pathlib import Path

from streamlit.testing.v1 import AppTest

APP = Path(__file__).resolve().parents[2] / "app"


def opened(page: str = "generate", **address: str) -> AppTest:
    app = AppTest.from_file(str(APP / "main.py"), default_timeout=60)
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    if page != "generate":
        app.switch_page(f"screens/{page}.py").run()
    return fine(app)


def fine(app: AppTest) -> AppTest:
    assert not app.exception, app.exception[0].stack_trace
    return app


def until_done(app: AppTest) -> AppTest:
    """Run the page again until the visitor's newest job has ended."""
    from server import server

    for _ in range(600):
        job = server().jobs[app.session_state["sets"][0]]
        if not job.busy:
            return fine(app.run())
        time.sleep(0.1)
    raise AssertionError(f"the job is still {job.state}: {job.doing}")


def press(app: AppTest, label: str) -> AppTest:
    return fine(next(button for button in app.button if button.label == label).click().run())


def texts(app: AppTest) -> str:
    parts = [*app.markdown, *app.caption, *app.error, *app.info, *app.text, *app.code, *app.success, *app.subheader]
    return "\n".join(str(part.value) for part in parts)


def made(**values) -> AppTest:
    app = opened()
    for key, value in {"num": 12, "seed": 3, **values}.items():
        next(box for box in [*app.number_input, *app.text_input] if box.key == key).set_value(value)
    app.run()
    return until_done(press(app, "Make molecules"))


def sets_of(app: AppTest) -> list:
    from server import server

    return [server().jobs[key] for key in app.session_state["sets"]]


def molecule_set(app: AppTest):
    return sets_of(app)[0]


def shown(app: AppTest) -> list[str]:
    return app.dataframe[0].value["SMILES"].tolist()


def seen_as(app: AppTest, view: str) -> AppTest:
    """The page that looks and filters, in another view."""
    app.segmented_control(key="view").set_value(view).run()
    return fine(app)


def judged(name: str, content: bytes) -> AppTest:
    app = opened("score")
    app.file_uploader[0].set_value((name, content, "text/plain")).run()
    return until_done(press(app, "Judge the file"))
