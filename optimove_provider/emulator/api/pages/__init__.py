"""Pages for people: what an emulator holds, and trouble on order. HTML that needs no script."""
