"""The app: its pages, and what stands beside all of them. `molgen app` starts it."""


def main() -> None:
    """Draw the page that the address names."""
    from pathlib import Path

    import streamlit as st
    from server import server
    from session import adopt, basket, put_first, sets

    st.set_page_config(page_title="molgen", page_icon=str(Path(__file__).with_name("icon.svg")), layout="wide")
    st.html("<style>.stMainBlockContainer{padding-top:3rem;padding-bottom:3rem}</style>")
    adopt()
    page = st.navigation(
        [
            st.Page("screens/generate.py", title="Make molecules", icon=":material/auto_awesome:", default=True),
            st.Page("screens/molecules.py", title="Look and filter", icon=":material/grid_view:"),
            st.Page("screens/molecule.py", title="One molecule", icon=":material/hexagon:"),
            st.Page("screens/film.py", title="Watch it form", icon=":material/movie:"),
            st.Page("screens/score.py", title="Judge your own", icon=":material/fact_check:"),
            st.Page("screens/compare.py", title="Compare and report", icon=":material/compare:"),
        ]
    )
    try:
        page.run()
    finally:  # after the page, which may have begun a new set
        with st.sidebar:
            mine = sets()
            if mine:
                st.caption("Sets of molecules; the first is active")
                for place, job in enumerate(mine[:8]):
                    text = f"{job.label}: {job.counts()['valid']:,} molecules"
                    beside = st.columns([4, 1]) if job.busy else [st]
                    if job.busy and beside[1].button("", key=f"cancel-{job.key}", icon=":material/close:", help="Stop"):
                        server().queue.stop(job)
                    kind = "secondary" if place else "primary"
                    if beside[0].button(text, key=f"set-{job.key}", type=kind, width="stretch"):
                        put_first(job)
                        st.rerun()
            st.caption(f"Basket: {len(basket()):,} molecules")


# a worker process imports this file under another name, and must not draw a page
if __name__ == "__main__":
    main()
