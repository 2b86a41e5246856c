package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
)

// A message is Nacos' only one: a type name and JSON. Written by hand, so that the double needs no code generator.
type message struct {
	kind string
	body []byte
}

const maxFrame = 64 << 20

func readMessage(from io.Reader) (message, error) {
	var head [5]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return message{}, err
	}
	size := binary.BigEndian.Uint32(head[1:])
	if head[0] != 0 || size > maxFrame {
		return message{}, errors.New("a compressed or huge frame")
	}
	frame := make([]byte, size)
	if _, err := io.ReadFull(from, frame); err != nil {
		return message{}, err
	}
	return decode(frame)
}

func decode(frame []byte) (message, error) {
	var out message
	err := fields(frame, func(number int, value []byte) error {
		return fields(value, func(inner int, text []byte) error {
			switch {
			case number == 2 && inner == 3:
				out.kind = string(text)
			case number == 3 && inner == 2:
				out.body = text
			}
			return nil
		})
	})
	return out, err
}

// fields calls `each` for every length-delimited field, and skips the others.
func fields(in []byte, each func(int, []byte) error) error {
	for len(in) > 0 {
		tag, n := binary.Uvarint(in)
		if n <= 0 {
			return errors.New("a broken tag")
		}
		in = in[n:]
		value, n := binary.Uvarint(in)
		if n <= 0 {
			return errors.New("a broken value")
		}
		in = in[n:]
		if tag&7 == 0 {
			continue
		}
		if tag&7 != 2 || value > uint64(len(in)) {
			return errors.New("a field of an unknown form")
		}
		if err := each(int(tag>>3), in[:value]); err != nil {
			return err
		}
		in = in[value:]
	}
	return nil
}

func encode(kind string, body any) []byte {
	text, isRaw := body.([]byte)
	if !isRaw {
		text, _ = json.Marshal(body)
	}
	payload := field(nil, 2, field(nil, 3, []byte(kind)))
	payload = field(payload, 3, field(nil, 2, text))
	out := make([]byte, 5, 5+len(payload))
	binary.BigEndian.PutUint32(out[1:], uint32(len(payload)))
	return append(out, payload...)
}

func field(to []byte, number int, value []byte) []byte {
	to = binary.AppendUvarint(to, uint64(number)<<3|2)
	to = binary.AppendUvarint(to, uint64(len(value)))
	return append(to, value...)
}
