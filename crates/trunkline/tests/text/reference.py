"""Python's codecs, asked by a test: one request a line on standard input, one answer a line."""

import codecs
import sys

# Sequences of bytes that the test's encodings read and Python's do not, by the name of Python's codec.
ACCEPTED = {}


def accepting(name, policy):
    """The name of an error handler that reads ACCEPTED, and otherwise does what `policy` says."""
    accepted = ACCEPTED[name]
    fall_back = codecs.lookup_error(policy)

    def handle(error):
        if isinstance(error, UnicodeDecodeError):
            for length in range(1, 5):
                text = accepted.get(error.object[error.start:error.start + length])
                if text is not None:
                    return text, error.start + length
        return fall_back(error)

    codecs.register_error(f"accepting-{name}-{policy}", handle)
    return f"accepting-{name}-{policy}"


def decode(name, policy, *pieces):
    """The text of a stream, or where it is malformed and the text before."""
    handler = accepting(name, policy) if name in ACCEPTED else policy
    decoder = codecs.getincrementaldecoder(name)(handler)
    text, fed, stream = "", 0, b"".join(map(bytes.fromhex, pieces))
    for index, piece in enumerate(map(bytes.fromhex, pieces)):
        fed += len(piece)
        try:
            text += decoder.decode(piece, index == len(pieces) - 1)
        except UnicodeDecodeError as error:
            # What it was shown ends where the stream does so far, but may begin anywhere.
            offset = fed - len(error.object) + error.start
            before = codecs.getincrementaldecoder(name)(handler).decode(stream[:offset], True)
            return f"failed {offset} {before.encode().hex()}"
    return f"text {text.encode('utf-8', 'surrogatepass').hex()}"


def encode(name, policy, *pieces):
    """The bytes of a text, or at which of its characters it cannot be written."""
    encoder = codecs.getincrementalencoder(name)(policy)
    output, fed = b"", 0
    for index, piece in enumerate(pieces):
        piece = bytes.fromhex(piece).decode()
        fed += len(piece)
        try:
            output += encoder.encode(piece, index == len(pieces) - 1)
        except UnicodeEncodeError as error:
            return f"failed {fed - len(error.object) + error.start}"
    return f"bytes {output.hex()}"


def alphabet(name, first, last):
    """The bytes of every character from `first` to `last` that can be written, by itself."""
    written = []
    for number in range(int(first), int(last) + 1):
        if not 0xD800 <= number < 0xE000:
            try:
                written.append(f"{number}:{chr(number).encode(name).hex()}")
            except UnicodeEncodeError:
                pass
    return " ".join(written)


def accept(name, sequence, text):
    """Reads `sequence` as `text` where Python finds it malformed."""
    ACCEPTED.setdefault(name, {})[bytes.fromhex(sequence)] = bytes.fromhex(text).decode()
    return "accepted"


COMMANDS = {function.__name__: function for function in (decode, encode, alphabet, accept)}

for line in sys.stdin:
    command, *arguments = line.rstrip("\n").split(" ")
    print(COMMANDS[command](*arguments), flush=False)
