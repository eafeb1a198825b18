package settings

import "testing"

// TestEveryBrandColorHasAReadableText asks for every colour there is, so that a save never has to be refused for its contrast.
func TestEveryBrandColorHasAReadableText(t *testing.T) {
	least := 21.0
	for n := range 1 << 24 {
		c := Color{uint8(n >> 16), uint8(n >> 8), uint8(n)}
		least = min(least, Contrast(c, TextOn(c)))
	}
	if least < ReadableContrast {
		t.Errorf("a colour has a text of contrast %.3f", least)
	}
}

func TestColors(t *testing.T) {
	for s, want := range map[string]Color{"#2b55c9": White, "#ffd400": Black, "#FFFFFF": Black, "#000000": White, "#777777": Black, "#767676": White} {
		c, ok := ParseColor(s)
		if !ok || TextOn(c) != want {
			t.Errorf("%s: %v %v", s, c, TextOn(c))
		}
	}
	for _, s := range []string{"", "2b55c9", "#2b55c", "#2b55cg", "#2b55c9;", "red"} {
		if _, ok := ParseColor(s); ok {
			t.Errorf("%q is taken", s)
		}
	}
	if got := Contrast(Black, White); got != 21 {
		t.Errorf("black on white: %v", got)
	}
}
