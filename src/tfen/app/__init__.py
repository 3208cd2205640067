"""The page and the HTTP interface: `tfen app`."""
