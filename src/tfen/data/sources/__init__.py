"""The data sets that `tfen prepare` reads, one file each; a new one is added to the table."""

from tfen.choices import Choices
from tfen.data.sources import ckplus, dfew, folder, mmi, oulu_casia

READERS = Choices(
    "data set",
    {
        "folder": folder.READER,
        "ckplus": ckplus.READER,
        "mmi": mmi.READER,
        "oulu-casia": oulu_casia.READER,
        "dfew": dfew.READER,
    },
)
