package sandbox

// FindControllers is for tests.
func FindControllers(mountinfo string) (memory, pids string, v2 bool, err error) {
	c, err := findControllers(mountinfo, defaultParent)
	return c.memory, c.pids, c.v2, err
}

// CreateGroup is for tests.
func CreateGroup(mountinfo, name string, memory int64, pids int) error {
	c, err := findControllers(mountinfo, defaultParent)
	if err != nil {
		return err
	}
	return group{c, name}.create(memory, pids)
}
