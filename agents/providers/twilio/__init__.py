"""Twilio Programmable Voice and elastic SIP trunks: what is asked, what is answered in TwiML, what is
signed."""
