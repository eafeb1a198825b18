package torture

func shake(power, synchronous string) error { return nil }
