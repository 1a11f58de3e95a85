package project

// ContentKey names the content of a file of a service.
func ContentKey(service, target string) string { return service + ":" + target }

// Fill gives the files of every service the contents, by ContentKey, that did not travel with d.
func (d *Desired) Fill(contents map[string][]byte) {
	for i := range d.Services {
		s := &d.Services[i]
		for j := range s.Pod.Container.Files {
			f := &s.Pod.Container.Files[j]
			if b, ok := contents[ContentKey(s.Name, f.Target)]; ok {
				f.Content = b
			}
		}
		for h := range s.PreStart {
			for j := range s.PreStart[h].Container.Files {
				f := &s.PreStart[h].Container.Files[j]
				f.Content = contents[HookContent(s.Name, h, f.Target)]
			}
		}
	}
}
