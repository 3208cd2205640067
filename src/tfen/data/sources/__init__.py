"""Where recordings come from: the official folders of CK+, MMI, Oulu-CASIA and DFEW, and folders of one's own."""
