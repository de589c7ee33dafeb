package events

import "encoding/json"

// List is a JSON array. In a message an empty array is [], never null, so that a
// browser can walk it without asking; a plain nil slice would be written as null.
type List[T any] []T

// MarshalJSON implements [json.Marshaler].
func (l List[T]) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]T(l))
}
