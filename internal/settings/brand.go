package settings

import (
	"fmt"
	"math"
	"strconv"
)

// ReadableContrast is the least contrast between a text and what is behind it (WCAG 2.2, success criterion 1.4.3).
const ReadableContrast = 4.5

// Color is a colour of the screen, sRGB.
type Color struct{ R, G, B uint8 }

// Black and White are what is written on a brand's colour.
var (
	Black = Color{}
	White = Color{255, 255, 255}
)

// ParseColor reads "#2b55c9".
func ParseColor(s string) (Color, bool) {
	if len(s) != 7 || s[0] != '#' {
		return Color{}, false
	}
	n, err := strconv.ParseUint(s[1:], 16, 32)
	return Color{uint8(n >> 16), uint8(n >> 8), uint8(n)}, err == nil
}

func (c Color) String() string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// Mixed gives c with a share of another colour, 0 to 1.
func (c Color) Mixed(other Color, share float64) Color {
	mix := func(a, b uint8) uint8 { return uint8(math.Round(float64(a)*(1-share) + float64(b)*share)) }
	return Color{mix(c.R, other.R), mix(c.G, other.G), mix(c.B, other.B)}
}

// linear is the light of each value of a channel (WCAG 2.2, relative luminance).
var linear = func() (table [256]float64) {
	for i := range table {
		v := float64(i) / 255
		if v <= 0.04045 {
			table[i] = v / 12.92
		} else {
			table[i] = math.Pow((v+0.055)/1.055, 2.4)
		}
	}
	return table
}()

func (c Color) luminance() float64 {
	return 0.2126*linear[c.R] + 0.7152*linear[c.G] + 0.0722*linear[c.B]
}

// Contrast is that of two colours: 1 to 21.
func Contrast(a, b Color) float64 {
	light, dark := a.luminance(), b.luminance()
	return (max(light, dark) + 0.05) / (min(light, dark) + 0.05)
}

// TextOn gives the colour of a text on a brand's colour: white where that is readable, else the better of black and white. Its
// contrast is never less than 4.58, the root of 21, so there is no colour that neither can be read on; a test asks for all of them.
func TextOn(c Color) Color {
	if white := Contrast(c, White); white >= ReadableContrast || white >= Contrast(c, Black) {
		return White
	}
	return Black
}
