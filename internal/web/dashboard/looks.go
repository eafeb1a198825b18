package dashboard

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"perennial/internal/journal"
	"perennial/internal/settings"
	"perennial/internal/subscription"
	"perennial/internal/web/ui"
)

// languageNames are those of the Portal's languages.
var languageNames = map[string]string{"en": "English", "de": "German", "fr": "French", "es": "Spanish"}

// portalFields are those of the page "portal".
func portalFields(_ *call, d settings.Document, v url.Values) []formField {
	p := d.(*settings.Portal)
	chosen, all := p.Actions, ordered(p.Actions, settings.PortalActions())
	if v.Has("max_days_ahead") {
		chosen, all = v["actions"], placed(v, all)
	}
	var o []ui.Option
	for _, a := range all {
		words := strings.ReplaceAll(a, "_", " ")
		o = append(o, ui.Option{Value: a, Label: strings.ToUpper(words[:1]) + words[1:]})
	}
	languages := []ui.Option{{Label: "That of the store (General)"}}
	for _, l := range settings.PortalLanguages() {
		languages = append(languages, ui.Option{Value: l, Label: languageNames[l]})
	}
	radius := ""
	if p.CornerRadius != nil {
		radius = strconv.Itoa(*p.CornerRadius)
	}
	return []formField{{kind: "ordered", Field: ui.Field{Name: "actions", Label: "Subscribers may", Value: strings.Join(chosen, " "), Hint: "In the order of their numbers. What is not ticked is refused everywhere, also in links of messages."}, options: o},
		whole(v, "max_skips_in_row", "Skips in a row, at most", p.MaxSkipsInRow, "0: no limit."), whole(v, "max_days_ahead", "An order may be moved so many days ahead", p.MaxDaysAhead, "1 to 730."),
		whole(v, "min_days_ahead", "And must be moved at least so many days ahead", p.MinDaysAhead, "0 to 60. Until when an order can be changed at all is the cut-off of the page Billing."),
		{kind: "select", Field: ui.Field{Name: "language", Label: "Language", Value: filled(v, "language", p.Language), Hint: "Subscribers see their own, if it is one of these. This one is for everybody else."}, options: languages},
		textField("area", "welcome", "Welcome", filled(v, "welcome", p.Welcome), "Plain text over the subscriptions. Optional."),
		textField("input", "support_contact", "Whom to ask", filled(v, "support_contact", p.SupportContact), "Plain text, such as an address or a telephone number. Empty: the e-mail address for support."),
		textField("input", "brand_color", "Brand colour", filled(v, "brand_color", p.BrandColor), "Such as #2b55c9. Empty: Perennial's."),
		textField("input", "logo_url", "Logo", filled(v, "logo_url", p.LogoURL), "An https address. Browsers of subscribers load it from there. Empty: none."),
		textField("input", "corner_radius", "Roundness of corners, in pixels", filled(v, "corner_radius", radius), "0 to 24. Empty: Perennial's.")}
}

// portalDocument reads them.
func portalDocument(_ *call, d settings.Document, in *input) settings.Document {
	p := journal.Clone(d.(*settings.Portal))
	kept := []string{}
	for _, a := range placed(in.Values, ordered(p.Actions, settings.PortalActions())) {
		if slices.Contains(in.Values["actions"], a) {
			kept = append(kept, a)
		}
	}
	p.Actions, p.MaxSkipsInRow, p.MaxDaysAhead, p.MinDaysAhead = kept, in.number("max_skips_in_row", 0), in.number("max_days_ahead", 0), in.number("min_days_ahead", 0)
	p.Language, p.Welcome, p.SupportContact = in.text("language"), in.text("welcome"), in.text("support_contact")
	p.BrandColor, p.LogoURL, p.CornerRadius = strings.ToLower(in.text("brand_color")), in.text("logo_url"), in.optional("corner_radius")
	return p
}

// ordered gives some names, and then what else there is.
func ordered(first, all []string) []string {
	out := slices.Clone(first)
	for _, a := range all {
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// placed sorts names by the numbers that were typed beside them.
func placed(v url.Values, names []string) []string {
	place := func(name string) int {
		n, err := strconv.Atoi(v.Get("place_" + name))
		if err != nil {
			return len(names) + 1 // what has no number comes last
		}
		return n
	}
	out := slices.Clone(names)
	slices.SortStableFunc(out, func(a, b string) int { return place(a) - place(b) })
	return out
}

// warnings is what a store should know before it saves the page: what the law asks for is not switched off by mistake.
func (c *call) warnings(d settings.Document) (templ.Component, error) {
	return portalWarnings(!slices.Contains(d.(*settings.Portal).Actions, string(subscription.ActionCancel))), nil
}

// looksNotes says what the Portal makes of the brand's colour.
func looksNotes(p *settings.Portal) []string {
	c, ok := settings.ParseColor(p.BrandColor)
	if !ok {
		return nil
	}
	contrast := func(text settings.Color) string {
		return fmt.Sprintf("%.1f:1", settings.Contrast(c, text))
	}
	if settings.TextOn(c) == settings.Black {
		return []string{"White text on the brand colour would have a contrast of " + contrast(settings.White) + ", which is less than 4.5:1. The Portal writes black on it (" + contrast(settings.Black) + "), and makes links darker or lighter until they can be read."}
	}
	return []string{"The Portal writes white on the brand colour: a contrast of " + contrast(settings.White) + ". It makes links darker or lighter where they could not be read."}
}
