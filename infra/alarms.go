package main

func (d *stack) addAlarms() {}
