"""The app: its pages, and what stands beside all of them. `molgen app` starts it."""

# room for four cards beside each other, and small print that stands out from the page enough to be read
STYLE = """<style>
.stMainBlockContainer {padding: 2.5rem 2.5rem 3rem}
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] * {color: inherit; opacity: 1}
[data-testid="stCaptionContainer"] p {opacity: 0.85}
</style>"""
DARK = """<style>
[data-testid^="stBaseButton-primary"] *, [data-testid="stMultiSelect"] span[title] {color: #0b1f1c}
</style>"""


def main() -> None:
    """Draw the page that the address names."""
    from pathlib import Path

    import streamlit as st
    from session import adopt, keep, remember, restore, tell_lost
    from sidebar import sidebar

    st.set_page_config(page_title="molgen", page_icon=str(Path(__file__).with_name("icon.svg")), layout="wide")
    st.html(STYLE + (DARK if st.context.theme.type == "dark" else ""))
    adopt()
    page = st.navigation(
        [
            st.Page("screens/generate.py", title="Make molecules", icon=":material/auto_awesome:", default=True),
            st.Page("screens/improve.py", title="Improve", icon=":material/trending_up:"),
            st.Page("screens/molecules.py", title="Look and filter", icon=":material/grid_view:"),
            st.Page("screens/molecule.py", title="One molecule", icon=":material/hexagon:"),
            st.Page("screens/film.py", title="Watch it form", icon=":material/movie:"),
            st.Page("screens/score.py", title="Judge your own", icon=":material/fact_check:"),
            st.Page("screens/compare.py", title="Compare and report", icon=":material/compare:"),
        ]
    )
    tell_lost()
    wanted = remember(page.url_path)
    try:
        page.run()
    finally:  # after the page, which may have begun a new set
        keep(page.url_path)
        sidebar()
    restore(wanted)


# a worker process imports this file under another name, and must not draw a page
if __name__ == "__main__":
    main()
