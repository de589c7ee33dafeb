package others

import (
	"encoding/binary"
	"errors"
)

// What is needed of Protocol Buffers' encoding to speak LiveKit's few messages:
// fields that are numbers, texts and messages.

var errWire = errors.New("this is no message in Protocol Buffers' encoding")

// wire is an encoded message.
type wire []byte

// text adds a text, a message, or bytes.
func (w wire) text(field uint64, value string) wire {
	w = binary.AppendUvarint(w, field<<3|2)
	w = binary.AppendUvarint(w, uint64(len(value)))
	return append(w, value...)
}

// number adds a number.
func (w wire) number(field, value uint64) wire {
	return binary.AppendUvarint(binary.AppendUvarint(w, field<<3), value)
}

// each hands on all fields in order; one that is a number has no text.
func (w wire) each(take func(field uint64, text wire, number uint64) error) error {
	for len(w) > 0 {
		key, err := w.uvarint()
		if err != nil {
			return err
		}
		var number, size uint64
		switch key & 7 {
		case 0:
			number, err = w.uvarint()
		case 1:
			size = 8
		case 2:
			size, err = w.uvarint()
		case 5:
			size = 4
		default:
			err = errWire
		}
		if err != nil || size > uint64(len(w)) {
			return errWire
		}
		text := w[:size]
		w = w[size:]
		if err := take(key>>3, text, number); err != nil {
			return err
		}
	}
	return nil
}

func (w *wire) uvarint() (uint64, error) {
	v, n := binary.Uvarint(*w)
	if n <= 0 {
		return 0, errWire
	}
	*w = (*w)[n:]
	return v, nil
}

// field returns the last field of a number: empty and 0 when there is none.
func (w wire) field(wanted uint64) (text wire, number uint64, err error) {
	err = w.each(func(field uint64, t wire, n uint64) error {
		if field == wanted {
			text, number = t, n
		}
		return nil
	})
	return text, number, err
}
