package main

func (d *stack) addDashboard() {}
