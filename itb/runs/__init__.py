"""One function per command: a config goes in, files and a result come out; parts are composed here."""
