// Package chart draws figures as SVG on the server: lines, bars, stacked bars, a funnel, a sparkline, and the grid of cohorts as a
// table. Colours and lines come from the classes of ui.css, so a chart follows the theme; there is no style in it. Each has a title and a description
// for who does not see it, and "Show as a table" has its numbers.
package chart

import (
	"context"
	"fmt"
	"html"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/a-h/templ"
)

// Series is one line, or one part of each bar.
type Series struct {
	Name   string
	Class  string    // "s1" to "s6", or "s0" for what is beside the point
	Values []float64 // as many as there are labels
	Before bool      // of the period before: drawn lighter
}

// Chart is what all charts have.
type Chart struct {
	Title  string // said by screen readers, and over the table
	Labels []string
	Series []Series
	Format func(float64) string // of a value; nil: as a plain number
	CSV    string               // where the numbers can be had; empty: nowhere
}

func (c Chart) format(v float64) string {
	if c.Format == nil {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return c.Format(v)
}

// The drawing is this wide and high, with room for the labels.
const (
	width, height       = 540.0, 220.0
	left, right         = 64.0, 8.0
	top, bottom         = 10.0, 26.0
	plotWidth           = width - left - right
	plotHeight          = height - top - bottom
	ticks               = 4
	labelsAtMost        = 7
	sparkWide, sparkTop = 96.0, 24.0
)

// round gives the ends of an axis and the step of its ticks: numbers of one digit and zeros, or halves of them.
func round(low, high float64) (from, to, step float64) {
	if low > 0 {
		low = 0
	}
	if high < 0 {
		high = 0
	}
	if high == low {
		high = low + 1
	}
	rough := (high - low) / ticks
	unit := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, m := range []float64{1, 2, 2.5, 5, 10} {
		if step = m * unit; step >= rough {
			break
		}
	}
	return math.Floor(low/step) * step, math.Ceil(high/step) * step, step
}

// scale places values on the drawing.
type scale struct {
	from, to float64
	n        int
}

func (s scale) y(v float64) float64 { return top + plotHeight*(1-(v-s.from)/(s.to-s.from)) }

// x is the middle of a label's room.
func (s scale) x(i int) float64 {
	return left + plotWidth*(float64(i)+0.5)/float64(max(s.n, 1))
}

type pen struct{ strings.Builder }

func (p *pen) f(format string, args ...any) { fmt.Fprintf(&p.Builder, format, args...) }

// frame draws the axis, its ticks and the labels.
func (c Chart) frame(p *pen, low, high float64) scale {
	from, to, step := round(low, high)
	s := scale{from, to, len(c.Labels)}
	for v := from; v <= to+step/2; v += step {
		class := "grid"
		if math.Abs(v) < step/1e6 {
			class, v = "axis", 0
		}
		p.f(`<line class="%s" x1="%.0f" x2="%.0f" y1="%.1f" y2="%.1f"/>`, class, left, width-right, s.y(v), s.y(v))
		p.f(`<text x="%.0f" y="%.1f" text-anchor="end">%s</text>`, left-8, s.y(v)+4, html.EscapeString(c.format(v)))
	}
	every := (len(c.Labels) + labelsAtMost - 1) / labelsAtMost
	for i, l := range c.Labels {
		if i%max(every, 1) == 0 {
			p.f(`<text x="%.1f" y="%.0f" text-anchor="middle">%s</text>`, s.x(i), height-8, html.EscapeString(l))
		}
	}
	return s
}

func (c Chart) bounds(stacked bool) (low, high float64) {
	for i := range c.Labels {
		var up, down float64
		for _, s := range c.Series {
			v := s.at(i)
			if !stacked {
				up, down = math.Max(up, v), math.Min(down, v)
			} else if v > 0 {
				up += v
			} else {
				down += v
			}
		}
		low, high = math.Min(low, down), math.Max(high, up)
	}
	return low, high
}

func (s Series) at(i int) float64 {
	if i < len(s.Values) {
		return s.Values[i]
	}
	return 0
}

// component wraps a drawing with its legend and its table.
func (c Chart) component(draw func(p *pen)) templ.Component {
	return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		p := &pen{}
		p.f(`<svg viewBox="0 0 %.0f %.0f" role="img" aria-label="%s"><title>%s</title>`, width, height, html.EscapeString(c.Title), html.EscapeString(c.Title))
		draw(p)
		p.f(`</svg>`)
		return figure(c, p.String()).Render(ctx, w)
	})
}

// Line draws each series as a line over its labels; the first has its area filled.
func Line(c Chart) templ.Component {
	return c.component(func(p *pen) {
		s := c.frame(p, firstOf(c.bounds(false)), secondOf(c.bounds(false)))
		for n, line := range c.Series {
			var path strings.Builder
			for i := range c.Labels {
				verb := 'L'
				if i == 0 {
					verb = 'M'
				}
				fmt.Fprintf(&path, "%c%.1f %.1f", verb, s.x(i), s.y(line.at(i)))
			}
			if n == 0 && len(c.Labels) > 1 {
				p.f(`<path class="area %s" d="%sL%.1f %.1fL%.1f %.1fZ"/>`, line.Class, path.String(), s.x(len(c.Labels)-1), s.y(math.Max(s.from, 0)), s.x(0), s.y(math.Max(s.from, 0)))
			}
			before := ""
			if line.Before {
				before = " before"
			}
			p.f(`<path class="line%s %s" d="%s"/>`, before, line.Class, path.String())
			if len(c.Labels) <= 62 && !line.Before {
				for i, l := range c.Labels {
					p.f(`<circle class="dot %s" cx="%.1f" cy="%.1f" r="2.5"><title>%s: %s</title></circle>`, line.Class, s.x(i), s.y(line.at(i)), html.EscapeString(l), html.EscapeString(c.format(line.at(i))))
				}
			}
		}
	})
}

func firstOf(a, _ float64) float64  { return a }
func secondOf(_, b float64) float64 { return b }

// Bars draws the series of each label on top of each other; what is below zero hangs down.
func Bars(c Chart) templ.Component {
	return c.component(func(p *pen) {
		low, high := c.bounds(true)
		s := c.frame(p, low, high)
		wide := math.Min(plotWidth/float64(max(s.n, 1))*0.7, 40)
		for i, l := range c.Labels {
			up, down := 0.0, 0.0
			for _, part := range c.Series {
				v := part.at(i)
				from := up
				if v < 0 {
					from = down
					down += v
				} else {
					up += v
				}
				y, h := s.y(math.Max(from, from+v)), math.Abs(s.y(from)-s.y(from+v))
				if h < 0.05 {
					continue
				}
				p.f(`<rect class="bar %s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s, %s: %s</title></rect>`, part.Class, s.x(i)-wide/2, y, wide, h, html.EscapeString(l), html.EscapeString(part.Name), html.EscapeString(c.format(v)))
			}
		}
	})
}

// Funnel draws one bar across for each label, of the first series, each beside its name and its value.
func Funnel(c Chart) templ.Component {
	return c.component(func(p *pen) {
		most := 1.0
		for i := range c.Labels {
			most = math.Max(most, c.Series[0].at(i))
		}
		const name, value = 110.0, 70.0
		step := (height - 10) / float64(max(len(c.Labels), 1))
		for i, l := range c.Labels {
			v := c.Series[0].at(i)
			y := 5 + step*float64(i)
			p.f(`<text x="%.0f" y="%.1f" text-anchor="end">%s</text>`, name-10, y+step/2+4, html.EscapeString(l))
			p.f(`<rect class="bar %s" x="%.0f" y="%.1f" width="%.1f" height="%.1f"/>`, c.Series[0].Class, name, y+3, math.Max(1, (width-name-value)*v/most), math.Max(step-6, 2))
			p.f(`<text x="%.1f" y="%.1f">%s</text>`, name+8+(width-name-value)*v/most, y+step/2+4, html.EscapeString(c.format(v)))
		}
	})
}

// Spark draws a small line without words; title says what it shows.
func Spark(title string, values []float64) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		p := &pen{}
		low, high := 0.0, 1.0
		for _, v := range values {
			low, high = math.Min(low, v), math.Max(high, v)
		}
		p.f(`<svg class="spark" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s"><path class="line" d="`, sparkWide, sparkTop, html.EscapeString(title))
		for i, v := range values {
			verb := 'L'
			if i == 0 {
				verb = 'M'
			}
			p.f("%c%.1f %.1f", verb, 1+(sparkWide-2)*float64(i)/float64(max(len(values)-1, 1)), 2+(sparkTop-4)*(1-(v-low)/(high-low)))
		}
		p.f(`"/></svg>`)
		_, err := io.WriteString(w, p.String())
		return err
	})
}

// Cell is a share in a grid of cohorts.
type Cell struct {
	Text  string
	Share float64 // 0 to 1, for the colour
	Said  string  // what the cell means
}

// Row is one cohort.
type Row struct {
	Name, Size string
	Cells      []Cell
}

func (c Cell) class() string {
	return "h h" + strconv.Itoa(int(math.Round(math.Min(math.Max(c.Share, 0), 1)*9)))
}

// monthName heads the column of a month after the beginning.
func monthName(m int) string {
	if m == 0 {
		return "Month 0"
	}
	return strconv.Itoa(m)
}
