"""Streamlit, as `molgen app` starts it: it asks no other machine what address this one has."""


def main() -> None:
    """Run Streamlit with the words of the command line."""
    from streamlit import net_util
    from streamlit.web.cli import main as streamlit

    # Streamlit asks for it on the internet when a page of another origin connects; no setting turns that off
    net_util.get_external_ip = lambda: None
    streamlit(prog_name="streamlit")


if __name__ == "__main__":
    main()
