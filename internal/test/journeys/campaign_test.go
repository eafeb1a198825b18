package journeys

import (
	"testing"

	"perennial/internal/test/browser"
)

// TestACampaign types phases, the first of them silent, sees day by day what they come to before they are saved, and puts back what was.
func TestACampaign(t *testing.T) {
	p := owner(t, browser.Options{})
	p.Go(at("/settings/recovery"))
	p.Holds("What will happen when a payment fails", "Day 0")
	p.Lacks("no mail")
	p.Run(`document.querySelector('#retry_days').select()`)
	p.Type("#retry_days", "\b")
	p.Fill("[name=attempts_1]", "2")
	p.Fill("[name=interval_1]", "1")
	p.Fill("[name=attempts_2]", "2")
	p.Fill("[name=interval_2]", "5")
	p.Click("[name=tell_1]")
	p.Becomes(`document.querySelectorAll('#foreseen tbody tr').length == 5 && document.querySelector('#foreseen').innerText.match(/no mail/g)?.length == 3`, "the preview does not follow what is typed")
	p.Holds("Day 12")
	p.Accessible()
	p.Picture("campaign")
	p.Run(`document.querySelector('#foreseen').scrollIntoView()`)
	p.Picture("campaign-days")
	p.Width(375)
	p.Fits()
	p.Accessible()
	p.Picture("campaign-phone")
	p.Click("main form .buttons button")
	p.Wait("[data-toast]")
	p.Holds("Changed the retry days and phases in the recovery settings")
	p.Click("[data-toast] form button")
	p.Holds("Undid the change of the retry days")
	p.Go(at("/settings/recovery"))
	p.Lacks("no mail")
}

// TestACampaignWithoutScript asks for the preview by a button.
func TestACampaignWithoutScript(t *testing.T) {
	p := owner(t, browser.Options{Width: 375, NoScript: true})
	p.Go(at("/settings/recovery"))
	p.Fill("#retry_days", "2, 9")
	p.Click("main form noscript button, main form button[formmethod=get]")
	p.Holds("Day 9")
	p.Fits()
}
