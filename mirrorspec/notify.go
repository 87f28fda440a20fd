package mirrorspec

import (
	"fmt"
	"time"
)

func readNotify(s *section) *Notify {
	s.require("url-file", `url-file = "/etc/mirrorcycle/webhook", a file that holds the URL`)
	n := &Notify{URLFile: s.checked("url-file", "/etc/mirrorcycle/webhook", checkDir), Lag: s.duration("lag", defaultLag)}
	if s.has("lag") && n.Lag < Duration(time.Minute) {
		s.fault("lag", fmt.Sprintf("%v is shorter than a minute", n.Lag), `write a duration such as "1d"`)
	}
	s.done(func(key string) (problem, advice string) {
		if key == "url" {
			return "is a secret", `write it to a file and name that: url-file = "/etc/mirrorcycle/webhook"`
		}
		return "", ""
	})
	return n
}
