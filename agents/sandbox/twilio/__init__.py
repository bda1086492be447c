"""Twilio on the sandbox's network: its REST, the TwiML that it is given, its signed callbacks."""
