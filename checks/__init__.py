"""What the sessions of the noxfile need to know or to do, beyond calling a tool."""
