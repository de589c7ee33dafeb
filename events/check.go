package events

import (
	"unicode"
	"unicode/utf8"
)

// firstOf returns the first error that is not nil.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// bounded checks the length in bytes of a string, and that it is valid UTF-8
// without control characters. It returns an untyped nil when all is well.
func bounded(field, s string, least, most int) error {
	if len(s) < least {
		if s == "" {
			return badField(field, "is missing")
		}
		return badField(field, "has %d bytes, at least %d are needed", len(s), least)
	}
	if len(s) > most {
		return badField(field, "has %d bytes, at most %d are taken", len(s), most)
	}
	if !utf8.ValidString(s) {
		return badField(field, "is not valid UTF-8")
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return badField(field, "has a control character")
		}
	}
	return nil
}

// CheckName reports what is wrong with a name, of a room or a participant, that
// did not come in a message: the same that [Join] refuses.
func CheckName(field, s string) error { return bounded(field, s, 1, MaxName) }

// text is bounded without the ban on control characters, for free text.
func text(field, s string, most int) error {
	if len(s) > most {
		return badField(field, "has %d bytes, at most %d are taken", len(s), most)
	}
	if !utf8.ValidString(s) {
		return badField(field, "is not valid UTF-8")
	}
	return nil
}

// fingerprint checks a SHA-256 certificate fingerprint as RFC 8122, section 5,
// writes it: 32 bytes in upper-case hexadecimal digits, colons between them.
// Lower case is taken too, since some write it.
func fingerprint(s string) bool {
	if len(s) != 32*3-1 {
		return false
	}
	for i, c := range []byte(s) {
		colon := i%3 == 2
		digit := c >= '0' && c <= '9' || c >= 'A' && c <= 'F' || c >= 'a' && c <= 'f'
		if colon != (c == ':') || !colon && !digit {
			return false
		}
	}
	return true
}

func inRange(field string, v, least, most int64) error {
	if v < least || v > most {
		return badField(field, "is %d, expected %d to %d", v, least, most)
	}
	return nil
}

// maxSafe is the largest integer that JavaScript holds exactly.
const maxSafe = 1<<53 - 1

func positive(field string, v int64) error { return inRange(field, v, 1, maxSafe) }
