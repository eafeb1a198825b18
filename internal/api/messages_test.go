package api_test

import "testing"

func TestNotificationTemplates(t *testing.T) {
	s := openShop(t)
	s.do("GET", "/notification-templates", nil).want(200).shows(map[string]any{"data.0.id": "login_code", "data.0.needed": true, "data.0.texts.1.language": "de"})
	const paused = "/notification-templates/paused"
	s.do("GET", paused, nil).want(200).shows(map[string]any{"data.version": 0.0, "data.enabled": true, "data.texts.0.own": false})
	s.do("PUT", paused+"/texts/en", fields{"subject": "See you", "body": "Until **then**, {{customer_first_name}}."}).want(200).made("notification_template.updated").
		shows(map[string]any{"data.version": 1.0, "data.texts.0.subject": "See you", "data.texts.0.own": true})
	s.do("PUT", paused+"/texts/en", fields{"subject": "", "body": "{{password}}"}).refused(422, "fields_refused").shows(map[string]any{"errors.0.pointer": "/subject", "errors.1.pointer": "/body"})
	s.do("PUT", paused+"/texts/xx", fields{"subject": "a", "body": "b"}).refused(422, "fields_refused")
	s.do("GET", paused+"/preview?language=en", nil).want(200).shows(map[string]any{"data.subject": "See you", "data.text": "Until then, Ada.\n"})
	s.do("POST", paused+"/preview", fields{"language": "en", "body": "Bye, {{customer_first_name}}"}).want(200).shows(map[string]any{"data.subject": "See you", "data.text": "Bye, Ada\n"})
	s.do("POST", paused+"/preview", fields{"body": "<b>"}).refused(422, "fields_refused").shows(map[string]any{"errors.0.pointer": "/body"})
	page := s.do("GET", "/notification-templates?limit=12", nil).want(200).shows(map[string]any{"data.9.id": "rescheduled"})
	s.do("GET", "/notification-templates?limit=12&cursor="+page.text("next_cursor"), nil).want(200).shows(map[string]any{"data.0.id": "cancelled", "next_cursor": nil})
	s.do("PATCH", paused, fields{"enabled": false}, `If-Match: "1"`).want(200).made("notification_template.disabled").shows(map[string]any{"data.enabled": false})
	s.do("PATCH", paused, fields{"enabled": true}, `If-Match: "1"`).refused(412, "stale_version")
	s.do("PATCH", paused, fields{"enabled": true}).want(200).made("notification_template.enabled")
	s.do("PATCH", "/notification-templates/login_code", fields{"enabled": false}).refused(409, "message_needed")
	s.do("GET", "/notification-templates/x", nil).refused(404, "unknown_notification_template")
	s.do("PATCH", "/notification-templates/x", fields{"enabled": false}).refused(404, "unknown_notification_template")
}
