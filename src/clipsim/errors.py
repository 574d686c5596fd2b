"""What can go wrong, as one family of exceptions.

ClipsimError (a RuntimeError)
├── UsageError          the request contradicts itself or asks for nothing
├── ImageError          a file or picture that cannot be used
├── PromptError         a prompt, template or prompt file that cannot be used
├── SettingsError       the user's settings cannot be read or written
├── DeviceError         the device or precision asked for is not to be had here
└── ModelError          a model that cannot be used
    ├── UnknownModelError   nothing answers to that name
    ├── WeightsError        the weights are missing, damaged, unsafe or of another architecture
    └── DownloadError       the weights are not on this machine and could not be fetched

Every message is one line that names the input, the cause and, where there is one, the remedy. Text from outside
is escaped in it (`names.printable`), so a message can be written to a terminal as it is.
"""

from __future__ import annotations


class ClipsimError(RuntimeError):
    """The base of everything that clipsim raises on purpose."""


class UsageError(ClipsimError):
    """The request contradicts itself or asks for nothing."""


class ImageError(ClipsimError):
    """A file or picture that cannot be used."""


class PromptError(ClipsimError):
    """A prompt, template or prompt file that cannot be used."""


class SettingsError(ClipsimError):
    """The user's settings cannot be read or written."""


class DeviceError(ClipsimError):
    """The device or precision asked for is not to be had here."""


class ModelError(ClipsimError):
    """A model that cannot be used."""


class UnknownModelError(ModelError):
    """Nothing answers to that name."""


class WeightsError(ModelError):
    """The weights are missing, damaged, unsafe or of another architecture."""


class DownloadError(ModelError):
    """The weights are not on this machine and could not be fetched."""
